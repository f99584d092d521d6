// What holds on every page of the console: logging in, lost connections, what is refused, no barrier, and narrow screens.
import { beforeAll, expect, it, vi } from 'vitest';
import { registerAll, startUpdate } from '../../../clients/api/src/index.ts';
import { expectNoSidewaysScrolling, findBarriers } from '../../support/console-page.ts';
import { describeConsole, idOf } from '../../support/console-service.ts';

describeConsole('the console: every page', (service) => {
  const { open, openAs, startSlowUpdate, upload } = service;

  /** With a fleet that has a history, so that no page is empty. */
  let places: string[];
  beforeAll(async () => {
    const { api } = service;
    const firmware = await upload('audio_lock', '2.0');
    const targets = { external_ids: [idOf(1), idOf(3), 'S-99999'] };
    const update = await startUpdate(api, { firmware_id: firmware.id, targets, canary: null });
    await api.addGroup({ name: 'odd', filter: { kind: 'scooter', version: 1 } });
    await api.addZone({ name: 'centre', time_zone: 'Europe/Berlin' });
    // More than a page of the fleet shows, so that it has its button; and more than may be updated without an approval.
    await registerAll(
      api,
      Array.from({ length: 60 }, (_, index) => ({ kind: 'cabinet' as const, external_id: `C-${index + 1}` })),
    );
    await api.changeDevice('scooter', idOf(1), { tags: ['workshop'] });
    const parts = [await upload('vega_mcu', '7.0'), await upload('vega_gsm', '7.1')].map(({ id: firmware_id }) => ({ firmware_id }));
    await api.requestAssembly({ hardware_type: 'cabinet', version: '2026.11', parts });
    const { id: forCabinets } = await upload('cabinet', '3.0');
    await startUpdate(api, { firmware_id: forCabinets, targets: { filter: { kind: 'cabinet' } }, canary: null });
    await vi.waitFor(async () => expect((await api.getUpdate(update.id)).status).toBe('COMPLETED'), { timeout: 60_000, interval: 200 });
    places = [
      ...['/', '/updates', '/updates?status=COMPLETED', `/updates/${update.id}`, `/updates/new?firmware=${firmware.id}`],
      ...[
        '/firmwares',
        `/firmwares/${firmware.id}`,
        '/packages',
        '/packages/new',
        '/groups',
        '/groups/odd',
        '/zones',
        '/audit',
        '/fleet',
        `/fleet/scooter/${idOf(1)}`,
        '/statistics',
        '/nowhere',
        '/updates/999999',
        '/updates/new',
        '/fleet?kind=scooter&id=NOBODY',
      ],
    ];
  }, 120_000);

  it('the first page is there with a handful of requests, and none of them leaves the service and its issuer', async () => {
    const context = await service.browser.newContext();
    const page = await context.newPage();
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(`${service.target.api_url}/console`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.locator('.loading').first().waitFor({ state: 'detached' });
    await context.close();
    const origins = new Set(requests.filter((url) => url.startsWith('http')).map((url) => new URL(url).origin));
    expect([...origins].toSorted()).toEqual([new URL(service.target.api_url).origin, service.target.issuer].toSorted());
    expect(requests.filter((url) => /\/console\/.+\.(js|css)$/.test(url)).length).toBeLessThanOrEqual(4);
  });

  it('a token that ends in the middle is renewed unseen; where that fails, logging in leads back to the same place', async () => {
    const { page, show } = await open({ at: '/fleet?kind=scooter' });
    const refusal = {
      ...{ status: 401, contentType: 'application/problem+json' },
      body: JSON.stringify({ code: 'auth.invalid_token', detail: 'The token has expired', status: 401 }),
    };
    let refusals = 0;
    await page.route('**/v1/updates**', (route) => {
      refusals += 1;
      return refusals === 1 ? route.fulfill(refusal) : route.fallback();
    });
    const renewed = page.waitForResponse((response) => response.url().endsWith('/token'));
    await show('/updates');
    expect((await renewed).status()).toBe(200);
    await page.getByRole('link', { name: /^#\d+/ }).first().waitFor();
    expect(refusals).toBeGreaterThan(1);

    await page.unrouteAll();
    await page.route('**/token', (route) => route.fulfill({ status: 400, json: { error: 'invalid_grant' } }));
    await page.route('**/v1/devices**', (route) => route.fulfill(refusal));
    await show('/fleet?kind=scooter&id=S-0003');
    await page.getByText('Your login has ended.').first().waitFor();
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Log in again' }).click();
    await page.getByRole('link', { name: 'S-00031' }).waitFor();
    expect(page.url()).toContain('#/fleet?kind=scooter&id=S-0003');
    expect(await page.evaluate('JSON.stringify({ ...localStorage, ...sessionStorage })')).not.toMatch(/eyJ|token/);
  });

  it('a button whose scope somebody lacks is off, and says which', async () => {
    const { id } = await startSlowUpdate('1.8.0');
    const { page, show } = await openAs('reader', ['read']);
    await show(`/updates/${id}`);
    const pause = page.getByRole('button', { name: 'Pause' });
    await pause.waitFor();
    expect(await pause.isDisabled()).toBe(true);
    await page.getByText('Your login lacks the scope updates:write.').first().waitFor();
    await service.api.cancelUpdate(id, { force: true });
  });

  it('what the service refuses is told in its words, with the id by which its operators find the request', async () => {
    const { page } = await open({ at: '/updates/999999' });
    const failure = page.getByRole('alert');
    await failure.getByText('There is no update 999999').waitFor();
    await failure.getByText('update.not_found').waitFor();
    expect(await failure.textContent()).toMatch(/Request [\w-]{8,}/);
    await failure.getByRole('button', { name: 'Try again' }).waitFor();
  });

  it('a button that is pressed without a connection says so, changes nothing, and works when it is pressed again', async () => {
    const { id } = await startSlowUpdate('1.7.8');
    const { page } = await open({ at: `/updates/${id}` });
    await page.getByRole('button', { name: 'Pause' }).click();
    const pause = page.getByRole('dialog').getByRole('button', { name: 'Pause' });
    await page.context().setOffline(true);
    await pause.click();
    await page.getByRole('dialog').getByRole('alert').waitFor();
    expect((await service.api.getUpdate(id)).status).toBe('IN_PROGRESS');
    await page.context().setOffline(false);
    await pause.click();
    await page.locator('.situation', { hasText: /^Paused\./ }).waitFor();
    await service.api.cancelUpdate(id, { force: true });
  });

  it('a connection that is lost is told, and what is seen goes on by itself when it is back', async () => {
    const { page } = await open({ at: '/' });
    const isLost = page.getByText('The service cannot be reached just now.');
    await page.context().setOffline(true);
    await isLost.waitFor();
    expect(await page.getByRole('heading', { name: 'Running now' }).isVisible()).toBe(true);
    await page.context().setOffline(false);
    await isLost.waitFor({ state: 'hidden' });
  });

  it.each(['light', 'dark'] as const)(
    'in %s colours has no barrier that axe finds, with a dialog open too',
    async (colorScheme) => {
      const { page, show } = await open({ colorScheme });
      for (const place of places) {
        await show(place);
        expect(await findBarriers(page), place).toEqual([]);
      }
      await show(places.find((place) => /firmwares\/\d/.test(place)) ?? '');
      await page.getByRole('button', { name: 'Withdraw' }).click();
      expect(await findBarriers(page), 'with a dialog').toEqual([]);
      await show('/groups?new=true');
      await page.getByText('More conditions').last().click();
      expect(await findBarriers(page), 'with the dialog of a group').toEqual([]);
      await show('/zones');
      await page.getByRole('button', { name: 'Delete zone centre?' }).click();
      expect(await findBarriers(page), 'with a zone to be deleted').toEqual([]);
      await page.getByRole('dialog').getByRole('button', { name: 'Leave it' }).click();
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByText('You are logged out of the console.').waitFor();
      expect(await findBarriers(page), 'logged out').toEqual([]);
    },
    300_000,
  );

  it.each([390, 1280])('fits into %i pixels', async (width) => {
    const { page, show } = await open({ viewport: { width, height: 800 } });
    for (const place of places) {
      await show(place);
      await expectNoSidewaysScrolling(page, place);
    }
  });
});
