import type { Account, DecisionAccount, ResourceAccount } from '../core/report/account.ts';
import type { Fact, Guard } from '../core/report/fact.ts';
import { withArrows } from './amounts.ts';
import { Icon } from './icons.tsx';

/** How the last decision came about, step by step, in the order of `explain`. */

const TITLES = { cores: 'CPU', memory: 'Memory' } as const;

export function DecisionSteps({ account }: { readonly account: Account }) {
  const { policy, seen, guards, leftAlone, resources, outcome, kind } = account;
  const whole = kind === 'qemu' ? 'The VM as a whole' : 'The container as a whole';
  return (
    <ol class="steps">
      <Step title="Policy" facts={policy} />
      <Step title="Seen" facts={seen} isFolded />
      <Step title={whole} guards={guards} />
      {leftAlone !== null && (
        <li class="verdict" data-verdict="hold">
          <strong>Skipped</strong> {leftAlone}.
        </li>
      )}
      {resources.map((one) => (
        <ResourceStep key={one.resource} account={one} />
      ))}
      <Step title="What came of it" facts={outcome} />
    </ol>
  );
}

interface StepProps {
  readonly title: string;
  readonly facts?: readonly Fact[];
  readonly guards?: readonly Guard[];
  readonly isFolded?: boolean;
}

/** What holds is always shown. The rest of the guards is there for those who look. */
function Step({ title, facts = [], guards = [], isFolded = false }: StepProps) {
  return (
    <li>
      <h3>{title}</h3>
      {isFolded ? (
        <details>
          <summary>{facts.length} readings</summary>
          <Facts facts={facts} />
        </details>
      ) : (
        <Facts facts={facts} />
      )}
      <Guards guards={guards} />
    </li>
  );
}

function ResourceStep({ account }: { readonly account: ResourceAccount }) {
  const { resource, weighed, guards, decision, plan } = account;
  return (
    <li>
      <h3>{TITLES[resource]}</h3>
      <Facts facts={weighed} />
      <Guards guards={guards} />
      <p class="verdict" data-verdict={decision.verdict}>
        <strong>{VERDICTS[decision.verdict]}</strong> {withArrows(decision.says)}
      </p>
      {plan.verdict !== 'none' && <PlanWords plan={plan} />}
    </li>
  );
}

const VERDICTS = { grow: 'Grow', shrink: 'Shrink', hold: 'Hold', none: 'No decision' } as const;

const PlanWords = ({ plan }: { readonly plan: DecisionAccount }) => (
  <p class="plan">
    <strong>Plan</strong> {plan.says}
  </p>
);

function Facts({ facts }: { readonly facts: readonly Fact[] }) {
  if (facts.length === 0) return null;
  return (
    <dl class="facts">
      {facts.map(({ what, says }) => (
        <div key={what}>
          <dt>{what}</dt>
          <dd>{withArrows(says)}</dd>
        </div>
      ))}
    </dl>
  );
}

function Guards({ guards }: { readonly guards: readonly Guard[] }) {
  const active = guards.filter(({ holds }) => holds);
  const others = guards.filter(({ holds }) => !holds);
  if (guards.length === 0) return null;
  return (
    <>
      {active.length > 0 && (
        <dl class="facts guards">
          {active.map(({ what, says }) => (
            <div key={what}>
              <dt>
                <Icon name="pause" /> {what}
              </dt>
              <dd>{withArrows(says)}</dd>
            </div>
          ))}
        </dl>
      )}
      {others.length > 0 && (
        <details>
          <summary>
            {others.length} guards {active.length > 0 ? 'more ' : ''}that do not hold it back
          </summary>
          <Facts facts={others} />
        </details>
      )}
    </>
  );
}
