import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The executables `pct`, `qm` and `pvesh` of a simulated node: small scripts that hand their
 * arguments to the node over its socket and do what it answers. Plain text, so that they need
 * nothing but Node.
 */

/** Where the node finds what it needs to know of a caller, one line of JSON. */
export interface CommandRequest {
  readonly argv: readonly string[];
  /** The locale as the C library would pick it. */
  readonly locale: string;
  readonly pid: number;
}

/** What the node tells the client to do, one line of JSON. */
export interface CommandOrder {
  readonly exit: number;
  /** Base64, since a faulty command may print anything. */
  readonly stdout: string;
  readonly stderr: string;
  /** End yourself by this signal after printing. */
  readonly signal?: string;
  /** Never end; what a hanging command holds on to. */
  readonly hang?: { readonly ignoreSigterm: boolean; readonly child: boolean };
}

const CLIENT = `'use strict';
const net = require('net');
const [path, ...argv] = process.argv.slice(2);
const { LC_ALL, LC_CTYPE, LANG } = process.env;
const socket = net.connect(path);
let received = '';

function hang(order) {
  if (order.ignoreSigterm) process.on('SIGTERM', () => {});
  const keep = setInterval(() => {}, 1000);
  let child;
  if (order.child) {
    const loop = 'trap "" TERM; i=0; while [ $i -lt 600 ]; do sleep 0.2; i=$((i+1)); done';
    child = require('child_process').spawn('/bin/sh', ['-c', loop], { stdio: 'inherit' });
    socket.write(JSON.stringify({ childPid: child.pid }) + '\\n');
  }
  socket.on('close', () => {
    clearInterval(keep);
    if (child) child.kill('SIGKILL');
  });
}

function obey(order) {
  process.stdout.write(Buffer.from(order.stdout, 'base64'));
  process.stderr.write(Buffer.from(order.stderr, 'base64'));
  process.exitCode = order.exit;
  if (order.hang) return hang(order.hang);
  socket.end();
  if (order.signal) process.kill(process.pid, order.signal);
}

socket.setEncoding('utf8');
socket.on('data', (text) => {
  received += text;
  if (!received.endsWith('\\n')) return;
  obey(JSON.parse(received));
});
socket.on('error', () => {
  process.stderr.write('ipcc_send_rec[1] failed: Connection refused\\n');
  process.exitCode = 111;
});
const locale = LC_ALL || LC_CTYPE || LANG || 'C';
socket.write(JSON.stringify({ argv, locale, pid: process.pid }) + '\\n');
`;

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Writes the executables into a directory that a PATH can begin with. */
export function installClients(binDirectory: string, socketPath: string): void {
  mkdirSync(binDirectory, { recursive: true });
  const client = join(binDirectory, '.client.cjs');
  writeFileSync(client, CLIENT);
  for (const tool of ['pct', 'qm', 'pvesh']) {
    const words = [process.execPath, client, socketPath, tool].map(quoted).join(' ');
    const path = join(binDirectory, tool);
    writeFileSync(path, `#!/bin/sh\nexec ${words} "$@"\n`);
    chmodSync(path, 0o755);
  }
}
