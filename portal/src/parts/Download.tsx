import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Failure } from "./Failure";
import { save } from "./save";

interface DownloadProps {
  label: string;
  /** What the file is called. */
  file: string;
  ask: () => Promise<{ data?: unknown }>;
}

/** A button that has the browser save what is answered. */
export function Download({ label, file, ask }: DownloadProps) {
  const made = useMutation({ mutationFn: () => save(ask(), file) });
  return (
    <>
      <Button size="xs" variant="default" loading={made.isPending} onClick={() => made.mutate()}>
        {label}
      </Button>
      {made.error ? <Failure error={made.error} /> : null}
    </>
  );
}
