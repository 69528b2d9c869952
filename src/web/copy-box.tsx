import type { Ref } from 'preact';
import { useRef, useState } from 'preact/hooks';

/** Lines of a configuration that are put in or taken out, and a way to take them elsewhere. */

interface DiffBoxProps {
  readonly text: string;
  readonly label: string;
}

export function CopyBox(props: DiffBoxProps) {
  const [isCopied, setCopied] = useState(false);
  const box = useRef<HTMLElement>(null);
  const copy = async (): Promise<void> => {
    // Selected in any case: without TLS a browser lets no page write to the clipboard.
    if (box.current !== null) window.getSelection()?.selectAllChildren(box.current);
    try {
      await navigator.clipboard.writeText(props.text);
      setCopied(true);
    } catch {
      setCopied(false);
    }
  };
  return (
    <>
      <DiffBox {...props} box={box} />
      <p>
        <button type="button" onClick={copy}>
          {isCopied ? 'Copied' : 'Copy'}
        </button>
      </p>
    </>
  );
}

export const DiffBox = ({
  text,
  label,
  box,
}: DiffBoxProps & { readonly box?: Ref<HTMLElement> }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard.
  <section {...(box && { ref: box })} class="copy-box" tabIndex={0} aria-label={label}>
    {text
      .trimEnd()
      .split('\n')
      .map((line, place) => (
        <span key={`${place} ${line}`} class={toneOf(line)}>
          {place > 0 && '\n'}
          {line}
        </span>
      ))}
  </section>
);

const toneOf = (line: string): string =>
  /^\+(?!\+)/.test(line) ? 'line-in' : /^-(?!-)/.test(line) ? 'line-out' : '';
