import { useState } from 'react';
import { settings } from '../settings.ts';
import { text } from '../text.ts';
import { Wordmark } from '../ui/wordmark.tsx';
import { goToIssuer } from './session.ts';

/** Seen only where logging in does not go by itself. */
export const LoginPage = ({ state, error: first }: { state: 'notSetUp' | 'loggedOut' | 'failed'; error?: unknown }) => {
  const [error, setError] = useState(first);
  const message = error === undefined ? undefined : error instanceof Error ? error.message : String(error);
  return (
    <main className="alone">
      <Wordmark />
      <h1>{text.login.title}</h1>
      <p>{text.login[state]}</p>
      {message !== undefined && (
        <p className="failure" role="alert">
          {text.login.issuerSays(settings.issuer, message)}
        </p>
      )}
      {state !== 'notSetUp' && (
        <button type="button" className="primary" onClick={() => goToIssuer().catch(setError)}>
          {text.login.logIn}
        </button>
      )}
    </main>
  );
};
