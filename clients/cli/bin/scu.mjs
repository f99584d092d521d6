#!/usr/bin/env node
// What is published is bundled. In a clone of the repository the command runs from its sources, without a build.
import { existsSync } from 'node:fs';
import module from 'node:module';

// Node from 22.8 on keeps what it has compiled: the command starts quicker from the second time on.
module.enableCompileCache?.();
const source = new URL('../src/main.ts', import.meta.url);
if (!existsSync(source)) await import(new URL('../dist/scu.mjs', import.meta.url).href);
else if (process.features.typescript) await import(source.href);
else {
  console.error(`Node ${process.versions.node} cannot run the sources of scu. In this repository call it as: npx scu (after npm ci)`);
  process.exitCode = 1;
}
