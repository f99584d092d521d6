// Loads the bundle it is given, or nothing, and ends.
const [bundle] = process.argv.slice(2);
if (bundle) await import(bundle);
process.exit();
