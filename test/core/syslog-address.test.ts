import { describe, expect, it } from 'vitest';
import { parseSyslogAddress, showSyslogAddress } from '../../src/core/syslog-address.ts';

describe('the address of a syslog server', () => {
  it.each([
    ['udp://log.lan:514', 'udp', 'log.lan', 514],
    ['udp://log.lan', 'udp', 'log.lan', 514],
    ['tcp://10.0.0.5:601/', 'tcp', '10.0.0.5', 601],
    ['tcp://[fd00::5]:6514', 'tcp', 'fd00::5', 6514],
    ['udp://[::1]', 'udp', '::1', 514],
  ])('%s', (text, protocol, host, port) => {
    const address = parseSyslogAddress(text);
    expect(address).toEqual({ protocol, host, port });
    if (address === undefined) return;
    expect(parseSyslogAddress(showSyslogAddress(address))).toEqual(address);
  });

  it.each([
    '',
    'log.lan:514',
    'http://log.lan',
    'udp://',
    'udp://log.lan:0',
    'udp://log.lan:65536',
    'udp://user:secret@log.lan',
    'udp://[1:2]',
    'udp://[]',
    'udp://fd00::5',
    'udp://a b',
    'udp://log.lan:514/local3',
    'UDP://log.lan',
    'udp://log.lan\n',
    'udp://log.lan:0514',
  ])('is not %j', (text) => {
    expect(parseSyslogAddress(text)).toBeUndefined();
  });
});
