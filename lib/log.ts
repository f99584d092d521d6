import { AsyncLocalStorage } from 'node:async_hooks';
import { Logger } from '@aws-lambda-powertools/logger';

/** Fields beside the constant message: ids and numbers, never bodies, tokens or signed links (design.md, G9). */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined | Error>>;

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const sharedFields = new AsyncLocalStorage<LogFields>();

/** Every line that is logged in the course of `work`, however deep, has these fields too: a request is found by its id. */
export const logWith = <T>(fields: LogFields, work: () => T): T => sharedFields.run(fields, work);

/** Structured JSON lines; the level comes from LOG_LEVEL, the function's name from Lambda's own environment. */
export const createLog = (): Log => {
  const logger = new Logger({ serviceName: 'scooters-updater' });
  return {
    info: (message, fields = {}) => logger.info(message, { ...sharedFields.getStore(), ...fields }),
    warn: (message, fields = {}) => logger.warn(message, { ...sharedFields.getStore(), ...fields }),
    error: (message, fields = {}) => logger.error(message, { ...sharedFields.getStore(), ...fields }),
  };
};
