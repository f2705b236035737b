// Collects what the microphone gives into pieces of a quarter of a second.
const PIECE = 4000;

class Tap extends AudioWorkletProcessor {
  piece = new Float32Array(PIECE);
  filled = 0;
  running = true;

  constructor() {
    super();
    this.port.onmessage = () => {
      this.running = false;
      this.send();
      this.port.postMessage(null);
    };
  }

  send() {
    if (this.filled > 0) this.port.postMessage(this.piece.slice(0, this.filled));
    this.filled = 0;
  }

  process([input]) {
    for (const sample of input[0] ?? []) {
      this.piece[this.filled++] = sample;
      if (this.filled === PIECE) this.send();
    }
    return this.running;
  }
}

registerProcessor('tap', Tap);
