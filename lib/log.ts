import { AsyncLocalStorage } from 'node:async_hooks';

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

const levels = ['INFO', 'WARN', 'ERROR'] as const;
type Level = (typeof levels)[number];

/**
 * One line of JSON each, on standard output. LOG_LEVEL is the lowest level that is printed (INFO); the trace is X-Ray's, by which
 * CloudWatch shows the lines of a trace.
 */
export const createLog = (): Log => {
  const { LOG_LEVEL = 'INFO', AWS_LAMBDA_FUNCTION_NAME } = process.env;
  const lowest = levels.indexOf(LOG_LEVEL as Level);
  const print =
    (level: Level) =>
    (message: string, fields: LogFields = {}) => {
      if (levels.indexOf(level) < lowest) return;
      const line = {
        level,
        message,
        timestamp: new Date(),
        function: AWS_LAMBDA_FUNCTION_NAME,
        xray_trace_id: /Root=([^;]+)/.exec(process.env['_X_AMZN_TRACE_ID'] ?? '')?.[1],
        ...sharedFields.getStore(),
        ...fields,
      };
      process.stdout.write(`${JSON.stringify(line, (_, value: unknown) => (value instanceof Error ? describe(value) : value))}\n`);
    };
  return { info: print('INFO'), warn: print('WARN'), error: print('ERROR') };
};

/** With the cause, and the code by which Node and PostgreSQL say what it is; other members may hold what is nobody's business. */
const describe = (error: Error) => {
  const { name, message, stack, cause, code } = error as NodeJS.ErrnoException;
  return { name, message, code, stack, cause: cause instanceof Error ? cause : undefined };
};
