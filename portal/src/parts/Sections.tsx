import { Tabs } from "@mantine/core";
import type { ReactNode } from "react";
import { useSearchParams } from "react-router";

export interface Section {
  id: string;
  title: string;
  shown: ReactNode;
}

/** A page in sections, of which one is shown: its address says which, so that it can be linked to and gone back to. */
export function Sections({ of }: { of: Section[] }) {
  const [params, setParams] = useSearchParams();
  const at = of.find((each) => each.id === params.get("section")) ?? of[0];
  return (
    <Tabs value={at?.id ?? null} onChange={(id) => setParams({ section: id ?? "" })} keepMounted={false}>
      <Tabs.List mb="md">
        {of.map((each) => (
          <Tabs.Tab key={each.id} value={each.id}>
            {each.title}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {of.map((each) => (
        <Tabs.Panel key={each.id} value={each.id}>
          {each.shown}
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}
