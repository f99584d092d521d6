// The API as the pages use it: one client, one cache of what it answered.
import { QueryCache, QueryClient } from '@tanstack/react-query';
import { createContext, useContext, useSyncExternalStore } from 'react';
import { ApiProblem, type Client, createClient } from '../../api/src/index.ts';
import { LoginEnded, type Session } from './login/session.ts';
import { apiUrl } from './settings.ts';

export interface Service {
  api: Client;
  session: Session;
}

const ServiceContext = createContext<Service | null>(null);
export const ServiceProvider = ServiceContext.Provider;

export const useService = (): Service => {
  const service = useContext(ServiceContext);
  if (!service) throw new Error('There is no service above this component');
  return service;
};
export const useApi = (): Client => useService().api;

/** What the page's frame tells of the connection, whichever page is open. */
export interface Trouble {
  /** Why the last request was not answered; null: all is well. */
  unreachable: string | null;
  isLoginEnded: boolean;
}

let trouble: Trouble = { unreachable: null, isLoginEnded: false };
const listeners = new Set<() => void>();
const tell = (change: Partial<Trouble>): void => {
  const next = { ...trouble, ...change };
  if (next.unreachable === trouble.unreachable && next.isLoginEnded === trouble.isLoginEnded) return;
  trouble = next;
  for (const listener of listeners) listener();
};

export const useTrouble = (): Trouble =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => trouble,
  );

const isRefusedToken = (error: unknown): boolean => error instanceof ApiProblem && error.status === 401;

export const createService = (session: Session): { service: Service; cache: QueryClient } => {
  const api = createClient({
    url: apiUrl,
    token: () => session.token(),
    attempts: 3,
    maximumWaitSeconds: 5,
    onRetry: ({ error }) => tell({ unreachable: error.message }),
  });
  /** A token that was refused is renewed once, for whatever was asked for. */
  const onError = (error: unknown): void => {
    if (isRefusedToken(error)) session.reject();
    if (error instanceof LoginEnded) tell({ isLoginEnded: true });
    else if (error instanceof ApiProblem) tell({ unreachable: null });
    else if (error instanceof Error && error.name === 'ApiUnreachable') tell({ unreachable: error.message });
  };
  const retry = (count: number, error: unknown): boolean => {
    onError(error);
    return isRefusedToken(error) && count === 0;
  };
  const cache = new QueryClient({
    queryCache: new QueryCache({ onError, onSuccess: () => tell({ unreachable: null }) }),
    defaultOptions: {
      // Polling rests in hidden tabs by itself. Whether there is a network is seen by asking, not by what the browser believes.
      queries: { retry, retryDelay: 0, staleTime: 1_000, networkMode: 'always' },
      mutations: { retry, retryDelay: 0, networkMode: 'always', onError },
    },
  });
  return { service: { api, session }, cache };
};
