import { connect } from 'node:net';
import type { HealthCheck } from '../core/groups/group-policy.ts';
import { describeError } from './os-error.ts';

/** Asks a member whether it does its service. No process is started. */

const TIME_LIMIT_MS = 5000;

export function createHealthProbe(timeLimitMs: number = TIME_LIMIT_MS) {
  return {
    check(address: string, check: HealthCheck): Promise<string | undefined> {
      switch (check.kind) {
        case 'none':
          return Promise.resolve(undefined);
        case 'tcp':
          return tcp(address, check.port, timeLimitMs);
        case 'http':
          return http(address, check, timeLimitMs);
      }
    },
  };
}

function tcp(address: string, port: number, timeLimitMs: number): Promise<string | undefined> {
  const where = `port ${port} of ${address}`;
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (complaint: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(complaint);
    };
    const late = `${where} did not answer within ${timeLimitMs / 1000} s`;
    const timer = setTimeout(() => end(late), timeLimitMs);
    socket.once('connect', () => end(undefined));
    socket.once('error', (error) => end(`${where}: ${describeError(error)}`));
  });
}

/** Healthy is what answers with 200 to 399. The answer itself is not read. */
async function http(
  address: string,
  { port, path }: HealthCheck,
  timeLimitMs: number,
): Promise<string | undefined> {
  const { get } = await import('node:http');
  const where = `http://${address}:${port}${path}`;
  return new Promise((resolve) => {
    const options = { host: address, port, path, agent: false, headers: { connection: 'close' } };
    const request = get(options, ({ statusCode = 0 }) => {
      const good = statusCode >= 200 && statusCode < 400;
      end(good ? undefined : `${where} answered ${statusCode}`);
    });
    const end = (complaint: string | undefined): void => {
      clearTimeout(timer);
      request.destroy();
      resolve(complaint);
    };
    const late = `${where} did not answer within ${timeLimitMs / 1000} s`;
    const timer = setTimeout(() => end(late), timeLimitMs);
    request.on('error', (error) => end(`${where}: ${describeError(error)}`));
  });
}
