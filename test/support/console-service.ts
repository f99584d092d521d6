import { randomBytes } from 'node:crypto';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { type Client, createClient, registerAll, startUpdate, uploadFirmware } from '../../clients/api/src/index.ts';
import { launchBrowser } from '../../dev/browser.ts';
import { type ConsolePage, chromiumPath, openConsole } from './console-page.ts';
import { openTarget, type Target } from './e2e-target.ts';

/** The simulated scooters. An update of more devices has to be approved by somebody else. */
export const SCOOTERS = 40;
export const idOf = (index: number) => `S-${String(index + 1).padStart(5, '0')}`;

/** The whole service and a browser, of which each file of tests has its own. */
class ConsoleService {
  #running: { target: Target; browser: Browser; api: Client } | undefined;
  readonly #opened: ConsolePage[] = [];

  async start(executablePath: string): Promise<void> {
    const [target, browser] = await Promise.all([
      openTarget({ scooters: SCOOTERS, cabinets: 0, install_seconds: 0.5, failure_rate: 0, seed: 7 }, { approvalAbove: SCOOTERS }),
      launchBrowser(executablePath),
    ]);
    const api = createClient({ url: target.api_url, token: target.token });
    this.#running = { target, browser, api };
    await registerAll(
      api,
      Array.from({ length: SCOOTERS }, (_, index) => ({
        ...{ kind: 'scooter' as const, external_id: idOf(index), version: index % 2 === 0 ? (1 as const) : (2 as const) },
      })),
    );
  }

  async stop(): Promise<void> {
    await this.#running?.browser.close();
    await this.#running?.target.stop();
  }

  /** Closes what a test has opened. Answers what the browser complained of meanwhile. */
  async closePages(): Promise<string[]> {
    const complaints = this.#opened.flatMap((each) => each.complaints());
    for (const each of this.#opened.splice(0)) await each.close();
    return complaints;
  }

  get #parts() {
    if (!this.#running) throw new Error('The service runs only while tests do');
    return this.#running;
  }

  get target(): Target {
    return this.#parts.target;
  }

  get browser(): Browser {
    return this.#parts.browser;
  }

  get api(): Client {
    return this.#parts.api;
  }

  /** The console as its engineer sees it, who may do everything. */
  readonly open = async (options: Parameters<typeof openConsole>[2] = {}): Promise<ConsolePage> => {
    const console = await openConsole(this.browser, this.target.api_url, options);
    this.#opened.push(console);
    return console;
  };

  /** The console as somebody else sees it. */
  readonly openAs = async (subject: string, scopes?: readonly string[]): Promise<ConsolePage> => {
    const console = await this.open();
    const token = await this.target.tokenFor({ subject, ...(scopes && { scopes }) });
    const answer = { access_token: token, token_type: 'bearer', ...(scopes && { scope: scopes.join(' ') }) };
    await console.page.route('**/token', (route) => route.fulfill({ json: answer }));
    await console.page.reload();
    await console.page.getByText(subject, { exact: true }).waitFor();
    return console;
  };

  readonly upload = (hardware_type: string, version: string) =>
    uploadFirmware(this.api, { hardware_type, version, comment: 'end to end' }, new Blob([new Uint8Array(randomBytes(5_000))]));

  /** What simulated devices do from now on. */
  readonly behave = (behaviour: Record<string, unknown>) =>
    fetch(`${this.target.simulator_url}/simulator/behaviour`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${this.target.simulator_token}`, 'content-type': 'application/json' },
      body: JSON.stringify(behaviour),
    });

  /** Asks one device a minute: there is time to press buttons. */
  readonly startSlowUpdate = async (version: string) => {
    const { id } = await this.upload('vega_mcu', version);
    const targets = { filter: { kind: 'scooter' as const } };
    return startUpdate(this.api, { firmware_id: id, targets, rollout: { maximum_per_minute: 1 }, canary: null, comment: 'slowly' });
  };
}

/** Tests of the console as people use it, in a real browser, against the whole service. A complaint of the browser fails the test. */
export const describeConsole = (name: string, cases: (service: ConsoleService) => void) =>
  describe.skipIf(chromiumPath === undefined)(name, () => {
    const service = new ConsoleService();
    beforeAll(() => service.start(chromiumPath ?? ''), 300_000);
    afterAll(() => service.stop());
    afterEach(async () => {
      expect(await service.closePages()).toEqual([]);
    });
    cases(service);
  });
