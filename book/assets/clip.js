// <ganmusic-clip>: a piano-roll that plays, with a playhead moving over it.
//
// A notebook's output holds this element round a picture and a plain <audio controls>, which work without
// any script. Where this module is loaded, the element takes them over: a play button, a playhead, seeking
// by mouse, finger and keyboard. It needs nothing else and stores nothing.
//
// Attributes, written by ganmusic.player.Clip:
//   data-start, data-end    where the first note begins and the last one ends, as shares of the picture's width
//   data-seconds            length of the music between them
//   data-beat               seconds a beat
//   data-beats-per-bar

const ICONS = {
  play: '<path d="M7 4v16l13-8z"/>',
  pause: '<path d="M6 4h4v16H6zM14 4h4v16h-4z"/>',
};

/** The clip that plays now: starting another one pauses it. */
let playing = null;

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

class GanmusicClip extends HTMLElement {
  connectedCallback() {
    this.audio = this.querySelector("audio");
    this.image = this.querySelector("img");
    // Moved within the page, or without sound: leave the picture and the browser's own controls.
    if (this.button || !this.audio || !this.image) return;
    const number = (name) => Number(this.dataset[name]);
    [this.start, this.end, this.seconds, this.beat] = ["start", "end", "seconds", "beat"].map(number);
    this.bar = this.beat * number("beatsPerBar");
    // Where to start once the sound is loaded; it is not loaded before it is needed.
    this.pending = 0;
    this.build();
    this.listen();
    this.show();
  }

  disconnectedCallback() {
    this.audio?.pause();
  }

  build() {
    const title = this.querySelector("figcaption")?.textContent || "clip";
    this.audio.removeAttribute("controls");
    this.audio.hidden = true;

    this.roll = document.createElement("div");
    this.roll.className = "clip-roll";
    this.roll.tabIndex = 0;
    this.roll.setAttribute("role", "slider");
    this.roll.setAttribute("aria-label", `Position in ${title}`);
    this.roll.setAttribute("aria-valuemin", "0");
    this.roll.setAttribute("aria-valuemax", this.seconds.toFixed(0));
    this.image.replaceWith(this.roll);
    this.head = document.createElement("div");
    this.head.className = "clip-head";
    this.roll.append(this.image, this.head);
    this.image.draggable = false;

    const bar = document.createElement("div");
    bar.className = "clip-bar";
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.dataset.title = title;
    this.time = document.createElement("span");
    this.time.className = "clip-time";
    bar.append(this.button, this.time);
    this.roll.after(bar);
    this.classList.add("clip-ready");
  }

  listen() {
    const audio = this.audio;
    this.button.addEventListener("click", () => this.toggle());
    this.roll.addEventListener("keydown", (event) => this.onKey(event));
    this.roll.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.roll.setPointerCapture(event.pointerId);
      this.seekTo(event);
    });
    this.roll.addEventListener("pointermove", (event) => {
      if (this.roll.hasPointerCapture(event.pointerId)) this.seekTo(event);
    });
    audio.addEventListener("loadedmetadata", () => {
      if (this.pending) audio.currentTime = this.pending;
    });
    audio.addEventListener("play", () => {
      if (playing && playing !== this) playing.audio.pause();
      playing = this;
      this.animate();
    });
    audio.addEventListener("pause", () => this.show());
    audio.addEventListener("seeked", () => this.show());
    audio.addEventListener("ended", () => this.seek(0));
    audio.addEventListener("error", () => {
      this.time.textContent = "this browser cannot play the sound";
    });
  }

  /** Seconds since the first note. */
  get position() {
    return this.audio.readyState ? this.audio.currentTime : this.pending;
  }

  toggle() {
    if (this.audio.paused) this.audio.play().catch(() => this.show());
    else this.audio.pause();
  }

  seek(seconds) {
    this.pending = clamp(seconds, 0, this.seconds);
    if (this.audio.readyState) this.audio.currentTime = this.pending;
    this.show();
  }

  seekTo(event) {
    const box = this.roll.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    this.seek(((share - this.start) / (this.end - this.start)) * this.seconds);
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = {
      ArrowLeft: -this.beat, ArrowDown: -this.beat, ArrowRight: this.beat, ArrowUp: this.beat,
      PageDown: -this.bar, PageUp: this.bar,
    };
    if (event.key in steps) this.seek(this.position + steps[event.key]);
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.seconds);
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else return;
    // Neither the page nor the notebook around it shall act on these keys as well.
    event.preventDefault();
    event.stopPropagation();
  }

  animate() {
    this.show();
    if (!this.audio.paused) requestAnimationFrame(() => this.animate());
  }

  show() {
    // After the last note the room dies away; the playhead waits at the end.
    const now = clamp(this.position, 0, this.seconds);
    const share = this.start + (this.end - this.start) * (now / this.seconds);
    this.head.style.left = `${100 * share}%`;
    this.showText(`${clock(now)} / ${clock(this.seconds)}`, Math.floor(now));
    const state = this.audio.paused ? "play" : "pause";
    if (this.button.dataset.state !== state) {
      this.button.dataset.state = state;
      this.button.setAttribute("aria-label", `${state === "play" ? "Play" : "Pause"} ${this.button.dataset.title}`);
      this.button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${ICONS[state]}</svg>`;
    }
  }

  /** Update what is read out only when its second changes, not at every frame. */
  showText(text, second) {
    if (this.time.textContent === text) return;
    this.time.textContent = text;
    this.roll.setAttribute("aria-valuenow", String(second));
    this.roll.setAttribute("aria-valuetext", `${second} of ${this.seconds.toFixed(0)} seconds`);
  }
}

if (!customElements.get("ganmusic-clip")) customElements.define("ganmusic-clip", GanmusicClip);
