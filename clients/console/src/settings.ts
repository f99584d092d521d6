// What the page is told before anybody has logged in, and where it was loaded from.

const meta = (name: string): string => document.querySelector(`meta[name="${name}"]`)?.getAttribute('content') ?? '';

/** As functions/console writes them into the page. */
export const settings = JSON.parse(meta('settings')) as { issuer: string; audience: string; clientId: string; scopes: string };

/** Below a stage's path too: the script lies at `<API>/console/<name>`. */
export const apiUrl = new URL('..', import.meta.url).href.replace(/\/$/, '');
export const pageUrl = `${apiUrl}/console`;
export const hashWorkerUrl = new URL(meta('hash-worker'), import.meta.url).href;
