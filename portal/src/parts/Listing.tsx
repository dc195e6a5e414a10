import {
  Button,
  Checkbox,
  Group,
  LoadingOverlay,
  Paper,
  ScrollArea,
  Stack,
  Table,
  Text,
  VisuallyHidden,
} from "@mantine/core";
import { keepPreviousData, type QueryKey, useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { count } from "../words";
import { Failure } from "./Failure";

export interface Column<Row> {
  title: string;
  cell: (row: Row) => ReactNode;
  width?: number | string;
}

export interface PageOf<Row> {
  items: Row[];
  next_cursor?: string | null;
  /** How many there are, where that is counted: not all of them may be shown. */
  total?: number;
}

interface ListingProps<Row> {
  label: string;
  queryKey: QueryKey;
  load: (cursor: string | undefined) => Promise<PageOf<Row>>;
  columns: Column<Row>[];
  rowKey: (row: Row) => string;
  empty: ReactNode;
  /** What can be done about the list: a button that makes a new one, say. */
  actions?: ReactNode;
  /** Rows can be chosen, by their keys. */
  chosen?: { keys: string[]; choose: (keys: string[]) => void };
  /** How often to look again, in milliseconds: for what is under way. */
  every?: number;
}

/** A list that the server pages: at any size, one page is held here. */
export function Listing<Row>(props: ListingProps<Row>) {
  return props.actions ? (
    <Stack gap="sm">
      <Group justify="flex-end" gap="xs">
        {props.actions}
      </Group>
      <Rows {...props} />
    </Stack>
  ) : (
    <Rows {...props} />
  );
}

function Rows<Row>({ label, queryKey, load, columns, rowKey, empty, every, chosen }: ListingProps<Row>) {
  const [cursors, setCursors] = useState<string[]>([]);
  const which = JSON.stringify(queryKey);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another question begins at its first page
  useEffect(() => setCursors([]), [which]);
  const cursor = cursors.at(-1);
  const asked = useQuery({
    queryKey: [...queryKey, cursor],
    queryFn: () => load(cursor),
    placeholderData: keepPreviousData,
    ...(every ? { refetchInterval: every } : {}),
  });
  if (asked.error) {
    return <Failure error={asked.error} retry={() => asked.refetch()} />;
  }
  const next = asked.data?.next_cursor;
  const shown = asked.data?.items.map(rowKey) ?? [];
  const total = asked.data?.total ?? 0;
  const isWhole = shown.length > 0 && shown.every((key) => chosen?.keys.includes(key));
  if (asked.data && asked.data.items.length === 0 && cursor === undefined) {
    return <Paper withBorder>{empty}</Paper>;
  }
  return (
    <Paper withBorder pos="relative" mih={120}>
      <LoadingOverlay visible={asked.isPending} overlayProps={{ blur: 1 }} />
      <ScrollArea
        type="auto"
        offsetScrollbars="present"
        viewportProps={{ tabIndex: 0, role: "region", "aria-label": label }}
      >
        <Table
          highlightOnHover
          verticalSpacing="xs"
          horizontalSpacing="sm"
          miw={Math.max(640, 120 * columns.length)}
        >
          <caption>
            <VisuallyHidden>{label}</VisuallyHidden>
          </caption>
          <Table.Thead>
            <Table.Tr>
              {chosen ? (
                <Table.Th w={36} scope="col">
                  <Checkbox
                    aria-label="All of this page"
                    checked={isWhole}
                    indeterminate={!isWhole && chosen.keys.length > 0}
                    onChange={() => chosen.choose(isWhole ? [] : shown)}
                  />
                </Table.Th>
              ) : null}
              {columns.map((column) => (
                <Table.Th key={column.title} w={column.width} scope="col">
                  {column.title}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {asked.data?.items.map((row) => (
              <Table.Tr key={rowKey(row)}>
                {chosen ? (
                  <Table.Td>
                    <Checkbox
                      aria-label={`Choose ${rowKey(row)}`}
                      checked={chosen.keys.includes(rowKey(row))}
                      onChange={() => chosen.choose(toggled(chosen.keys, rowKey(row)))}
                    />
                  </Table.Td>
                ) : null}
                {columns.map((column) => (
                  <Table.Td key={column.title}>{column.cell(row)}</Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </ScrollArea>
      {total > shown.length ? (
        <Text size="sm" c="dimmed" p="sm">
          The first {count(shown.length)} of {count(total)}.
        </Text>
      ) : null}
      {cursor !== undefined || next ? (
        <Group justify="flex-end" p="sm" gap="xs">
          <Button
            size="xs"
            variant="default"
            disabled={cursor === undefined}
            onClick={() => setCursors(cursors.slice(0, -1))}
          >
            Previous
          </Button>
          <Button
            size="xs"
            variant="default"
            disabled={!next}
            onClick={() => next && setCursors([...cursors, next])}
          >
            Next
          </Button>
        </Group>
      ) : null}
    </Paper>
  );
}

function toggled(keys: string[], key: string): string[] {
  return keys.includes(key) ? keys.filter((each) => each !== key) : [...keys, key];
}
