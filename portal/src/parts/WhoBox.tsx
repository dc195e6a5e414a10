import { Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { data, inventory } from "../api";
import { useName } from "./Who";

/** What the services do by themselves is recorded under their names. */
const SERVICES = ["discovery", "inventory", "notifier", "provisioner", "renewal"];
const TYPING_MS = 200;

/** A box for somebody, found by a part of the name; a form gets the id. */
export function WhoBox({ name, label, initial }: { name: string; label: string; initial: string }) {
  const [id, setId] = useState<string | null>(initial || null);
  const [text, setText] = useState("");
  const [asked] = useDebouncedValue(text, TYPING_MS);
  const found = useQuery({
    queryKey: ["who", "search", asked],
    queryFn: () => data(inventory.GET("/v1/principal-names/search", { params: { query: { text: asked } } })),
    placeholderData: keepPreviousData,
    refetchInterval: false,
  });
  const people = (found.data?.items ?? []).map((each) => ({ value: each.id, label: each.name }));
  const services = SERVICES.filter((each) => each.includes(text)).map((each) => ({
    value: each,
    label: each,
  }));
  const known = [...people, ...services];
  const chosen = { value: id ?? "", label: useName(id ?? "") };
  return (
    <Select
      name={name}
      label={label}
      placeholder="anybody"
      searchable
      clearable
      nothingFoundMessage="Nobody is called so."
      data={id && !known.some((each) => each.value === id) ? [chosen, ...known] : known}
      value={id}
      onChange={setId}
      onSearchChange={setText}
    />
  );
}
