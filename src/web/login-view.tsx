import { useEffect, useRef, useState } from 'preact/hooks';
import type { Api, Proof, Session } from './api.ts';
import { Icon } from './icons.tsx';
import { useAnswer } from './use-answer.ts';

export interface LoginViewProps {
  readonly api: Api;
  /** Why somebody is asked who was here before; empty: for the first time. */
  readonly says: string;
  readonly onLogin: (session: Session) => void;
}

export function LoginView({ api, says, onLogin }: LoginViewProps) {
  const form = useRef<HTMLFormElement>(null);
  const [trouble, setTrouble] = useState(says);
  const [isBusy, setBusy] = useState(false);
  const [withToken, setWithToken] = useState(false);
  const ways = useAnswer<{ readonly proxmox: boolean }>(api, 'login', 0);
  const hasUsers = ways.value?.proxmox === true;
  const isKnown = ways.value !== undefined || ways.problem !== undefined;
  const asksForUser = hasUsers && !withToken;
  useEffect(() => form.current?.querySelector('input')?.focus(), [isKnown, asksForUser]);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const proof = form.current === null ? undefined : proofIn(new FormData(form.current));
    if (proof === undefined || isBusy) return;
    setBusy(true);
    const answer = await api.login(proof);
    setBusy(false);
    if (answer.ok) return onLogin(answer.value);
    setTrouble(answer.problem.says);
    form.current?.querySelector<HTMLInputElement>('[type=password]')?.select();
  };
  return (
    <main class="login">
      <form class="card" ref={form} onSubmit={submit}>
        <h1>lxc-autoscale</h1>
        {isKnown && (asksForUser ? <UserFields /> : <SecretField label="Token" name="token" />)}
        {trouble !== '' && (
          <p class="bad" role="alert">
            <Icon name="alert" /> {trouble}
          </p>
        )}
        <button type="submit" class="primary" disabled={isBusy}>
          Log in
        </button>
        {hasUsers && (
          <button type="button" onClick={() => setWithToken(!withToken)}>
            {withToken ? 'With a user of Proxmox VE' : 'With a token'}
          </button>
        )}
        <p class="muted">
          {asksForUser ? 'Its privileges decide what you may do here.' : <TokenWords />} On the
          node, <code>lxc-autoscale dashboard</code> prints a link that logs in once.
        </p>
      </form>
    </main>
  );
}

const TokenWords = () => (
  <>
    A token is in <code>http_tokens</code> of the configuration.
  </>
);

const UserFields = () => (
  <>
    <label class="field">
      <span>User of Proxmox VE</span>
      <input name="user" placeholder="root@pam" autocomplete="username" required />
    </label>
    <SecretField label="Password" name="password" />
  </>
);

const SecretField = ({ label, name }: { readonly label: string; readonly name: string }) => (
  <label class="field">
    <span>{label}</span>
    <input name={name} type="password" autocomplete="current-password" required />
  </label>
);

function proofIn(given: FormData): Proof | undefined {
  const text = (name: string): string => String(given.get(name) ?? '');
  const [token, user, password] = [text('token').trim(), text('user').trim(), text('password')];
  if (token !== '') return { token };
  return user === '' || password === '' ? undefined : { user, password };
}
