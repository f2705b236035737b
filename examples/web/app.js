// The page: loads a model, takes a file or the microphone, and shows what is said.
import { AnyonError, AnyonModel, decodeAudio, threadsAvailable } from './anyon/anyon.js';
import { clock, toSrt, toText } from './captions.js';
import { MICROPHONE_RATE, openMicrophone } from './microphone.js';
import { fetchModel, forget, offered } from './model-store.js';

const part = (id) => document.getElementById(id);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

let model = null;
let work = null; // { controller } while something is loaded or transcribed
let recording = null; // { microphone, stream, pushed }
let result = { name: 'transcript', segments: [] };

function showProblem(error) {
  const cancelled = error.status === 'ANYON_ERROR_CANCELLED' || error.name === 'AbortError';
  part('problem').hidden = cancelled;
  if (!cancelled) part('problem').textContent = error.message;
}

function show(...ids) {
  for (const id of ids) part(id).hidden = false;
}

function hide(...ids) {
  for (const id of ids) part(id).hidden = true;
}

// ---- Model -----------------------------------------------------------------------------------------------------------

async function listModels() {
  const list = part('model-list');
  let models = [];
  try {
    models = await offered();
  } catch {
    // Offline without a kept list: a file can still be opened.
  }
  list.replaceChildren(...models.map(({ file, bytes, kept }) =>
    new Option(`${file.replace(/\.anyon$/, '')} (${kept ? 'on this device' : megabytes(bytes)})`, file)));
  if (models.length === 0) list.replaceChildren(new Option('None; open a file'));
  list.disabled = models.length === 0;
  part('model-load').disabled = models.length === 0;
}

async function loadModel(name, open) {
  const controller = (work = new AbortController());
  hide('model-choose', 'model-ready', 'problem');
  show('model-loading');
  const report = (step) => ({ loaded, total }) => {
    part('model-progress').value = total > 0 ? loaded / total : 0;
    part('model-step').textContent = `${step} ${name}… ${megabytes(loaded)} of ${megabytes(total)}`;
  };
  part('model-step').textContent = `Opening ${name}…`;
  part('model-cancel').focus();
  try {
    const source = await open({ onProgress: report('Downloading'), signal: controller.signal });
    const loaded = await AnyonModel.load(source, { onProgress: report('Loading'), signal: controller.signal });
    model?.close();
    model = loaded;
    showModel();
  } catch (error) {
    if (error.status === 'ANYON_ERROR_BAD_BUNDLE') await forget(name);
    showProblem(error);
    if (model) showModel();
    else show('model-choose');
  } finally {
    work = null;
    hide('model-loading');
    await listModels();
    part(model ? 'sound-pick' : 'model-load').focus();
  }
}

function showModel() {
  hide('model-choose');
  show('model-ready');
  const language = model.languages.length === 1 ? 'English' : `${model.languages.length} languages`;
  part('model-about').textContent = `${model.name}, ${model.recipe}: ready. ${language}, ${megabytes(model.bytes)}.`;
  part('language-field').hidden = model.languages.length === 1;
  const names = new Intl.DisplayNames(['en'], { type: 'language' });
  part('language').replaceChildren(new Option('Detect', ''),
                                   ...model.languages.map((code) => new Option(names.of(code), code)));
  part('sound-pick').disabled = false;
  part('record').disabled = !navigator.mediaDevices;
}

part('model-load').onclick = () => {
  const file = part('model-list').value;
  loadModel(file, (options) => fetchModel(file, options));
};
part('model-pick').onclick = () => part('model-file').click();
part('model-file').onchange = ({ target }) => {
  const [file] = target.files;
  if (file) loadModel(file.name, async () => file);
  target.value = '';
};
part('model-cancel').onclick = () => work?.abort();
part('model-change').onclick = () => {
  hide('model-ready');
  show('model-choose');
  part('model-load').focus();
};

// ---- Transcript ------------------------------------------------------------------------------------------------------

function clear(name) {
  result = { name, segments: [] };
  part('segments').replaceChildren();
  part('summary').textContent = '';
  hide('empty', 'actions', 'preview', 'problem');
}

function addSegment(segment) {
  if (segment.text.trim() === '') return;
  result.segments.push(segment);
  const item = document.createElement('li');
  const time = document.createElement('time');
  time.dateTime = `PT${segment.start.toFixed(2)}S`;
  time.textContent = clock(segment.start);
  const text = document.createElement('span');
  text.className = 'text';
  if (segment.words.length > 0) {
    for (const { word, start, end } of segment.words) {
      const span = document.createElement('span');
      span.className = 'word';
      span.title = `${start.toFixed(2)} to ${end.toFixed(2)} s`;
      span.textContent = word.trim();
      text.append(span, ' ');
    }
  } else {
    text.textContent = segment.text.trim();
  }
  item.append(time, text);
  part('segments').append(item);
  hide('preview');
}

function showEnd(transcript, seconds) {
  const { duration } = transcript;
  const speed = seconds > 0 ? `, ${(duration / seconds).toFixed(1)} times as fast as it was said` : '';
  part('summary').textContent = result.segments.length > 0
    ? `${clock(duration)} of sound${speed}.`
    : 'No speech was found in this recording.';
  part('actions').hidden = result.segments.length === 0;
}

function options(controller) {
  return {
    language: part('language').value || undefined,
    wordTimestamps: part('words').checked,
    onSegment: addSegment,
    onProgress: ({ seconds, total }) => {
      part('working-progress').value = total > 0 ? seconds / total : 0;
      part('working-step').textContent = `${clock(seconds)} of ${clock(total)}`;
    },
    signal: controller.signal,
  };
}

function busy(is) {
  for (const id of ['sound-pick', 'model-change', 'words', 'language']) part(id).disabled = is;
  part('record').disabled = is && !recording;
}

async function transcribe(file) {
  if (!model || work || recording) return;
  const controller = (work = new AbortController());
  clear(file.name.replace(/\.[^.]+$/, ''));
  busy(true);
  show('working');
  part('working-progress').removeAttribute('value');
  part('working-step').textContent = `Decoding ${file.name}…`;
  part('cancel').focus();
  try {
    const samples = await decodeAudio(file);
    part('working-progress').value = 0;
    part('working-step').textContent = 'Listening…';
    const start = performance.now();
    const transcript = await model.transcribe(samples, options(controller));
    showEnd(transcript, (performance.now() - start) / 1000);
  } catch (error) {
    showProblem(error);
    part('actions').hidden = result.segments.length === 0;
  } finally {
    work = null;
    hide('working');
    busy(false);
    part(result.segments.length > 0 ? 'transcript' : 'sound-pick').focus();
  }
}

part('cancel').onclick = () => work?.abort();
part('sound-pick').onclick = () => part('sound-file').click();
part('sound-file').onchange = ({ target }) => {
  const [file] = target.files;
  if (file) transcribe(file);
  target.value = '';
};

const drop = part('drop');
for (const type of ['dragenter', 'dragover']) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.add('over');
  });
}
document.addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) drop.classList.remove('over');
});
document.addEventListener('drop', (event) => {
  event.preventDefault();
  drop.classList.remove('over');
  const [file] = event.dataTransfer.files;
  if (file?.name.endsWith('.anyon')) loadModel(file.name, async () => file);
  else if (file && model) transcribe(file);
  else if (file) showProblem(new AnyonError('ANYON_ERROR_INVALID_ARGUMENT', 'Load a model first.'));
});

// ---- Microphone ------------------------------------------------------------------------------------------------------

function showRecording(is) {
  part('record').classList.toggle('recording', is);
  part('record-text').textContent = is ? 'Stop' : 'Record';
}

async function startRecording() {
  clear('recording');
  const controller = new AbortController();
  const session = (recording = { failed: null });
  busy(true);
  try {
    session.stream = model.stream({
      ...options(controller),
      sampleRate: MICROPHONE_RATE,
      onPreview: (text) => {
        part('preview').textContent = text;
        part('preview').hidden = text.trim() === '';
      },
    });
    session.microphone = await openMicrophone((samples) => {
      session.stream.push(samples).catch((error) => (session.failed = error));
    });
    showRecording(true);
    part('summary').textContent = 'Listening…';
  } catch (error) {
    session.stream?.cancel();
    recording = null;
    busy(false);
    const refused = error.name === 'NotAllowedError' || error.name === 'NotFoundError';
    showProblem(refused ? new Error(`The microphone cannot be used: ${error.message}`) : error);
  }
}

async function stopRecording() {
  const { microphone, stream } = recording;
  part('record').disabled = true;
  part('summary').textContent = 'Finishing…';
  try {
    await microphone.stop();
    const transcript = await stream.finish();
    showEnd(transcript, 0);
  } catch (error) {
    showProblem(recording.failed ?? error);
  } finally {
    recording = null;
    hide('preview');
    showRecording(false);
    busy(false);
  }
}

part('record').onclick = () => (recording ? stopRecording() : startRecording());

// ---- Results ---------------------------------------------------------------------------------------------------------

function save(extension, content) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([content], { type: 'text/plain' }));
  link.download = `${result.name}.${extension}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

part('copy').onclick = async () => {
  await navigator.clipboard.writeText(toText(result.segments));
  part('summary').textContent = 'Copied.';
};
part('save-txt').onclick = () => save('txt', toText(result.segments));
part('save-srt').onclick = () => save('srt', toSrt(result.segments));

part('model-threads').textContent = threadsAvailable()
  ? ''
  : 'One thread computes: this page is not cross-origin isolated. Served with the headers COOP and COEP it is faster.';
part('model-threads').hidden = threadsAvailable();
navigator.serviceWorker?.register('service-worker.js').catch(() => {});
listModels();
