// `npm run screenshots`: pictures of the console for README and docs, from a stack of its own with a fleet that has a history.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findChromium, launchBrowser } from '../browser.ts';
import { startStack } from '../stack/stack.ts';
import { createDemoFleet, demoScooters } from './demo-fleet.ts';
import { picturesOfDocuments, picturesOfEverything, takePictures } from './pictures.ts';

const help = `npm run screenshots                    writes docs/pictures/*.png
npm run screenshots -- --all FOLDER    writes pictures of every page there, light and dark, for a phone and for a desk
`;
const documents = fileURLToPath(new URL('../../docs/pictures', import.meta.url));

const { values } = parseArgs({ options: { all: { type: 'string' }, help: { type: 'boolean' } } });
const chromium = findChromium();
if (values.help) process.stdout.write(help);
else if (chromium === undefined) {
  console.error('There is no chromium: apt-get install chromium, or name one by CHROMIUM');
  process.exitCode = 1;
} else await main(chromium, values.all);

async function main(chromiumPath: string, all: string | undefined): Promise<void> {
  const stack = await startStack({
    simulator: { scooters: demoScooters, cabinets: 0, install_seconds: 2, seed: 7 },
    iotFleet: { cabinets: 6, scooters: 2 },
    onStep: (text) => console.log(`${text} …`),
    onError: (where, error) => console.error(where, error),
  });
  try {
    console.log('Making a fleet with a history; that takes some minutes …');
    const places = await createDemoFleet(stack);
    const browser = await launchBrowser(chromiumPath);
    try {
      if (all === undefined) {
        const looks = [{ colorScheme: 'light', width: 1280 }] as const;
        await takePictures(browser, stack.api_url, picturesOfDocuments(places), { directory: documents, looks, isWhole: false });
      } else {
        const looks = (['light', 'dark'] as const).flatMap((colorScheme) => [390, 1280].map((width) => ({ colorScheme, width })));
        await takePictures(browser, stack.api_url, picturesOfEverything(places), { directory: all, looks, isWhole: true });
      }
    } finally {
      await browser.close();
    }
  } finally {
    await stack.stop();
  }
}
