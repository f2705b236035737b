// Segments as text and as SubRip captions.

/** 75.5 -> "1:15"; with hours where there are any. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (value) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

function srtTime(seconds) {
  const milliseconds = Math.round(seconds * 1000);
  const two = (value) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(milliseconds / 3600000), Math.floor(milliseconds / 60000) % 60];
  return `${two(hours)}:${two(minutes)}:${two(Math.floor(milliseconds / 1000) % 60)},` +
    String(milliseconds % 1000).padStart(3, '0');
}

export function toText(segments) {
  return segments.map((segment) => segment.text.trim()).join('\n') + '\n';
}

export function toSrt(segments) {
  return segments.map((segment, index) =>
    `${index + 1}\n${srtTime(segment.start)} --> ${srtTime(segment.end)}\n${segment.text.trim()}\n`).join('\n');
}
