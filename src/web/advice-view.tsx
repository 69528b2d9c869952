import type { ContainerRow } from '../core/report/status.ts';
import { coresWords, memoryWords, percentWords, signed, spanWords } from './amounts.ts';
import type { Api } from './api.ts';
import { CopyBox } from './copy-box.tsx';
import { hrefOf } from './route.ts';
import { AskedView, Empty } from './state-notes.tsx';
import { useAnswer } from './use-answer.ts';

/** What each guest should have for good, by its record. Asked for only while this is shown. */

interface Amount {
  readonly recommended: number;
  readonly peak: number;
  readonly had: number | null;
  readonly saves: number | null;
  /** The share of the time in which it had no more to use. */
  readonly at_limit: number | null;
}

/** As `recommend --json` has it. */
interface Advice {
  readonly container: string;
  readonly hours: number;
  readonly sure: string;
  readonly cores: Amount;
  readonly memory_mb: Amount | null;
}

interface Answered {
  readonly containers: readonly Advice[];
  readonly diff: string | null;
  readonly left: readonly number[];
  readonly note: string;
}

interface AdviceViewProps {
  readonly api: Api;
  readonly rows: readonly ContainerRow[];
}

export function AdviceView({ api, rows }: AdviceViewProps) {
  const asked = useAnswer<Answered>(api, 'recommendations', 0);
  return (
    <section aria-labelledby="advice-title">
      <h1 id="advice-title">Advice</h1>
      <AskedView asked={asked} what="Reading the record of two weeks">
        {({ containers, ...rest }) =>
          containers.length === 0 ? (
            <Empty>
              Nothing is recorded yet. With usage_history on, a day of it says something.
            </Empty>
          ) : (
            <>
              <p class="lead">
                What each guest should have for good, by what it has used. The program itself gives
                and takes as it goes.
              </p>
              <section class="card">
                <AdviceTable advice={containers} rows={rows} />
              </section>
              <Proposal {...rest} />
            </>
          )
        }
      </AskedView>
    </section>
  );
}

interface AdviceTableProps {
  readonly advice: readonly Advice[];
  readonly rows: readonly ContainerRow[];
}

const AdviceTable = ({ advice, rows }: AdviceTableProps) => (
  <table class="advice">
    <thead>
      <tr>
        <th scope="col">Guest</th>
        <th scope="col">CPU</th>
        <th scope="col">Memory</th>
        <th scope="col" class="col-why">
          Record
        </th>
      </tr>
    </thead>
    <tbody>
      {advice.map(({ container, cores, memory_mb, hours, sure }) => (
        <tr key={container}>
          <th scope="row">
            <a href={hrefOf({ view: 'guest', vmid: Number(container) })}>
              <span class="muted number">{container}</span>{' '}
              {rows.find(({ vmid }) => vmid === Number(container))?.name ?? ''}
            </a>
          </th>
          <td class="number">
            <AmountWords amount={cores} words={coresWords} />
          </td>
          <td class="number">
            {memory_mb === null ? '–' : <AmountWords amount={memory_mb} words={memoryWords} />}
          </td>
          <td class="col-why">
            {spanWords(hours * 3_600_000)},{' '}
            {sure === 'low' ? 'not' : sure === 'high' ? 'very' : 'fairly'} sure
            <ShortWords what="cores" amount={cores} />
            <ShortWords what="memory" amount={memory_mb} />
          </td>
        </tr>
      ))}
    </tbody>
  </table>
);

interface AmountWordsProps {
  readonly amount: Amount;
  readonly words: (value: number) => string;
}

const AmountWords = ({ amount: { had, recommended, saves }, words }: AmountWordsProps) => (
  <>
    {had !== null && had !== recommended && `${words(had)} → `}
    <strong>{words(recommended)}</strong>
    {saves !== null && saves !== 0 && <span class="muted"> ({signed(-saves, words)})</span>}
  </>
);

/** Less than this share of the time at a limit is what any peak has. */
const OFTEN = 0.01;

const ShortWords = ({ what, amount }: { readonly what: string; readonly amount: Amount | null }) =>
  amount !== null && (amount.at_limit ?? 0) >= OFTEN ? (
    <>
      . All of its {what} {what === 'cores' ? 'were' : 'was'} in use{' '}
      {percentWords((amount.at_limit ?? 0) * 100)} of the time, so it may want more
    </>
  ) : null;

const Proposal = ({ diff, left, note }: Omit<Answered, 'containers'>) => (
  <section class="card" aria-labelledby="apply-title">
    <h2 id="apply-title">Apply to the configuration</h2>
    {diff !== null && <CopyBox text={diff} label="The lines to add, as a patch" />}
    <p class="muted">
      {note}
      {left.length > 0 &&
        ` Left out, since a tier has them, or they are no managed containers: ${left.join(', ')}.`}
    </p>
  </section>
);
