export interface Granted {
  /** To be shown. */
  who: string;
  /** By which the service knows them; of a token that is no JWT it is not known. */
  subject: string | undefined;
  scopes: ReadonlySet<string>;
}

/**
 * What a token says of whoever carries it, to show a name and to say beforehand which buttons the service would refuse. Nothing is checked:
 * the service does that. Of a token that is no JWT only what the issuer said beside it.
 */
export const readClaims = (token: string, scope: string | undefined): Granted => {
  const claims = decode(token);
  const granted = scope ?? claims['scope'] ?? claims['scp'] ?? '';
  const who = [claims['name'], claims['email'], claims['sub']].find((claim) => typeof claim === 'string' && claim !== '');
  const { sub } = claims;
  return {
    who: String(who ?? '?'),
    subject: typeof sub === 'string' ? sub : undefined,
    scopes: new Set(Array.isArray(granted) ? granted.map(String) : String(granted).split(' ')),
  };
};

const decode = (token: string): Record<string, unknown> => {
  try {
    const base64 = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : {};
  } catch {
    return {};
  }
};
