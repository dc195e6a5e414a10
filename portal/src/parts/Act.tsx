import { Button, type ButtonProps, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Failure } from "./Failure";

interface ActProps extends ButtonProps {
  label: string;
  /** What will be done, said before it is. */
  what: string;
  /** Ask for a reason, and hand it to `run`. */
  reason?: boolean;
  run: (reason: string) => Promise<unknown>;
}

/** A button for what changes something: says first what it will do, and what became of it. */
export function Act({ label, what, reason = false, run, ...button }: ActProps) {
  const [opened, { open, close }] = useDisclosure(false);
  const [why, setWhy] = useState("");
  const known = useQueryClient();
  const done = useMutation({
    mutationFn: () => run(why),
    onSuccess: async () => {
      close();
      setWhy("");
      await known.invalidateQueries();
    },
  });
  return (
    <>
      <Button size="xs" {...button} onClick={open}>
        {label}
      </Button>
      <Modal opened={opened} onClose={close} title={label} closeButtonProps={{ "aria-label": "Close" }}>
        <Stack>
          <Text size="sm">{what}</Text>
          {reason ? (
            <TextInput
              label="Reason"
              data-autofocus
              required
              value={why}
              onChange={(event) => setWhy(event.currentTarget.value)}
            />
          ) : null}
          {done.error ? <Failure error={done.error} /> : null}
          <Button onClick={() => done.mutate()} loading={done.isPending} disabled={reason && !why.trim()}>
            {label}
          </Button>
        </Stack>
      </Modal>
    </>
  );
}
