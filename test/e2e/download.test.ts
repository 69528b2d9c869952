import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../node/local/world.ts';
import { AUTHORITY_FILE, SERVER_TLS } from '../notify/certificate.ts';
import { run } from './booted-tree.ts';

/** How the installer downloads: the functions of the script itself, against real servers. */

const SCRIPT = readFileSync(new URL('../../install.sh', import.meta.url), 'utf8');
const FUNCTIONS = ['download', 'curl_to', 'wget_to']
  .map((name) => new RegExp(`^${name}\\(\\) \\{\\n[\\s\\S]*?^\\}\\n`, 'm').exec(SCRIPT)?.[0])
  .join('\n');

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** `/file` is there; any other path leads to where the part behind its slash says. */
async function serve(make: typeof createServer): Promise<string> {
  const server = make((request, response) => {
    const to = decodeURIComponent(request.url?.slice(1) ?? '');
    if (to === 'file') response.end('content');
    else response.writeHead(302, { location: to }).end();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serveTls = () =>
  serve(((answer: Parameters<typeof createServer>[0]) =>
    createTlsServer(SERVER_TLS, answer as never)) as unknown as typeof createServer);

async function download(tool: 'curl' | 'wget', address: string) {
  const directory = temporaryDirectory();
  const file = join(directory, 'file');
  writeFileSync(join(directory, 'wgetrc'), `ca_certificate = ${AUTHORITY_FILE}\n`);
  const script = `
    set -euo pipefail
    fail() { echo "$*"; exit 1; }
    sleep() { :; }
    ${tool === 'wget' ? 'command() { return 1; }' : ''}
    ${FUNCTIONS}
    export CURL_CA_BUNDLE=${AUTHORITY_FILE} WGETRC=${join(directory, 'wgetrc')}
    download "$1" "$2"`;
  const { code } = await run('bash', ['-c', script, 'bash', address, file]);
  return { code, text: code === 0 ? readFileSync(file, 'utf8') : '' };
}

describe.each(['curl', 'wget'] as const)('a download by %s', (tool) => {
  const to = (address: string): string => encodeURIComponent(address);

  it('that was asked for by https comes by https to the end', async () => {
    const [plain, secure, other] = [await serve(createServer), await serveTls(), await serveTls()];
    const good = { code: 0, text: 'content' };
    expect(await download(tool, `https://${secure}/file`)).toEqual(good);
    expect(await download(tool, `https://${secure}/${to(`https://${other}/file`)}`)).toEqual(good);
    expect(await download(tool, `https://${secure}/${to('/file')}`)).toEqual(good);
    const bad = { code: 1, text: '' };
    expect(await download(tool, `https://${secure}/${to(`http://${plain}/file`)}`)).toEqual(bad);
    const far = `https://${other}/${to(`http://${plain}/file`)}`;
    expect(await download(tool, `https://${secure}/${to(far)}`)).toEqual(bad);
  });

  it('that was asked for by http may come by both', async () => {
    const [plain, secure] = [await serve(createServer), await serveTls()];
    const good = { code: 0, text: 'content' };
    expect(await download(tool, `http://${plain}/file`)).toEqual(good);
    expect(await download(tool, `http://${plain}/${to(`https://${secure}/file`)}`)).toEqual(good);
    expect(await download(tool, `http://${plain}/nothing`)).toEqual({ code: 1, text: '' });
  });
});
