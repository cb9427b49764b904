// Clips play in silence while they are in view. A reader who asked for less motion gets controls
// instead; without this script every clip has them.
const clips = [...document.querySelectorAll("video")];
const button = document.querySelector("#play");
const wantsCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const inView = new Set();
let playing = !wantsCalm;

function apply() {
  for (const clip of clips) {
    if (playing && inView.has(clip)) clip.play().catch(() => { clip.controls = true; });
    else clip.pause();
  }
  if (button) button.textContent = playing ? "Pause all clips" : "Play all clips";
}

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) inView.add(target);
    else inView.delete(target);
  }
  apply();
}, { rootMargin: "100px" });

for (const clip of clips) {
  clip.controls = wantsCalm;
  observer.observe(clip);
}
if (button) {
  button.hidden = false;
  button.addEventListener("click", () => { playing = !playing; apply(); });
}
