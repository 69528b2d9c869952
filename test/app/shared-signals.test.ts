import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { endable, sharing } from '../../src/app/shared-signals.ts';

it('tells all who listen by one listener, until the last one has gone', () => {
  const source = new EventEmitter();
  const signals = sharing(source);
  const heard: number[] = [];
  const listeners = Array.from({ length: 32 }, (_, index) => () => void heard.push(index));
  for (const one of listeners) signals.on('SIGHUP', one);
  expect(source.listenerCount('SIGHUP')).toBe(1);
  source.emit('SIGHUP');
  expect(heard).toHaveLength(32);
  for (const one of listeners.slice(1)) signals.off('SIGHUP', one);
  signals.off('SIGHUP', () => {});
  source.emit('SIGHUP');
  expect(heard).toHaveLength(33);
  for (const one of listeners.slice(0, 1)) signals.off('SIGHUP', one);
  expect(source.listenerCount('SIGHUP')).toBe(0);
  for (const one of listeners.slice(0, 1)) signals.on('SIGHUP', one);
  source.emit('SIGHUP');
  expect(heard).toHaveLength(34);
});

it('one who listens can be ended alone, as if by SIGTERM', () => {
  const source = new EventEmitter();
  const [one, other] = [endable(sharing(source)), endable(sharing(source))];
  const heard: string[] = [];
  const end = (): void => void heard.push('one ends');
  one.signals.on('SIGTERM', end);
  one.signals.on('SIGHUP', () => void heard.push('one reloads'));
  other.signals.on('SIGTERM', () => void heard.push('other ends'));
  one.end();
  expect(heard).toEqual(['one ends']);
  one.signals.off('SIGTERM', end);
  one.end();
  source.emit('SIGTERM');
  expect(heard).toEqual(['one ends', 'other ends']);
});
