import { Button, type ButtonProps, Modal } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import type { ReactNode } from "react";

interface DialogProps extends Omit<ButtonProps, "children"> {
  label: string;
  /** What is in it, each time anew; it closes itself. */
  children: (close: () => void) => ReactNode;
}

/** A button that opens a dialog. */
export function Dialog({ label, children, ...button }: DialogProps) {
  const [opened, { open, close }] = useDisclosure(false);
  return (
    <>
      <Button size="xs" {...button} onClick={open}>
        {label}
      </Button>
      <Modal
        opened={opened}
        onClose={close}
        title={label}
        size="lg"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        {children(close)}
      </Modal>
    </>
  );
}
