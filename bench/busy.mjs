// Uses up a core for as long as its parent lives.
process.on('disconnect', () => process.exit());
const spin = () => {
  const end = performance.now() + 50;
  while (performance.now() < end);
  setImmediate(spin);
};
spin();
