// The microphone as mono samples at 16 kHz.

export const MICROPHONE_RATE = 16000;

/** Calls onSamples(Float32Array) about four times a second until stop(), which resolves after the last of them. */
export async function openMicrophone(onSamples) {
  const media = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  const context = new AudioContext({ sampleRate: MICROPHONE_RATE });
  await context.audioWorklet.addModule('microphone-worklet.js');
  const source = context.createMediaStreamSource(media);
  const tap = new AudioWorkletNode(context, 'tap', { numberOfOutputs: 0 });
  let ended;
  const end = new Promise((resolve) => (ended = resolve));
  tap.port.onmessage = ({ data }) => (data === null ? ended() : onSamples(data));
  source.connect(tap);
  return {
    async stop() {
      tap.port.postMessage('stop');
      await end;
      for (const track of media.getTracks()) track.stop();
      await context.close();
    },
  };
}
