import { performance } from 'node:perf_hooks';
import { metricsText } from '../../src/output/metrics.ts';
import { everything } from '../output/everything.ts';

/**
 * What a scrape costs with 300 containers, each with all of its figures: milliseconds of CPU, the
 * answer's size, and how that grows with the number of containers. With the
 * flags of the daemon.
 */

const CONTAINERS = [100, 300, 1000];
const ROUNDS = 30;

export function benchMetrics(): readonly string[] {
  return CONTAINERS.map((count) => {
    const input = everything(Array.from({ length: count }, (_, index) => 101 + index));
    const times: number[] = [];
    let text = '';
    for (let round = 0; round < ROUNDS; round += 1) {
      const startMs = performance.now();
      text = metricsText(input);
      times.push(performance.now() - startMs);
    }
    const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
    const kib = Math.round(Buffer.byteLength(text) / 1024);
    const ms = median(times).toFixed(1).padStart(6);
    return `${ms} ms  ${count} containers: ${series} series, ${kib} KiB`;
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
