// Loaded into child processes by --import: when the parent dies, even by kill -9, its end of the channel closes and the child goes too.
process.on('disconnect', () => process.exit(1));
process.channel?.unref();
