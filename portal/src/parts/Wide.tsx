import { Box, ScrollArea } from "@mantine/core";
import type { ReactNode } from "react";

/** What is wider than a narrow screen: it is scrolled there, by keyboard too. */
export function Wide({
  label,
  minWidth,
  children,
}: {
  label: string;
  minWidth: number;
  children: ReactNode;
}) {
  return (
    <ScrollArea type="auto" viewportProps={{ tabIndex: 0, role: "region", "aria-label": label }}>
      <Box miw={minWidth}>{children}</Box>
    </ScrollArea>
  );
}
