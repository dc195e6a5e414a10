// What there is to choose from, by name, for forms that take ids.
import { useQuery } from "@tanstack/react-query";
import { data, inventory, notifier } from "../api";

export interface Choice {
  value: string;
  label: string;
}

/** Return the names of ids, with a comma between them; an id that is not known stays as it is. */
export function named(ids: string[], choices: Choice[]): string {
  return ids.map((id) => choices.find((each) => each.value === id)?.label ?? id).join(", ");
}

/** Groups by name, for forms that take their ids. */
export function useGroupChoices() {
  const asked = useQuery({
    queryKey: ["groups", "choices"],
    queryFn: () => data(inventory.GET("/v1/groups", { params: { query: { limit: 1000 } } })),
  });
  return asked.data?.items.map((each) => ({ value: each.id, label: each.name })) ?? [];
}

/** As those, for what can be for everybody too. */
export function useOpenGroupChoices(): Choice[] {
  return [{ value: "*", label: "everybody" }, ...useGroupChoices()];
}

/** Teams by name, for forms that take the id of one. */
export function useTeamChoices() {
  const asked = useQuery({
    queryKey: ["teams", "choices"],
    queryFn: () => data(inventory.GET("/v1/teams", { params: { query: { limit: 1000 } } })),
  });
  return asked.data?.items.map((each) => ({ value: each.id, label: each.name })) ?? [];
}

/** Channels by name, for forms that take their ids. */
export function useChannelChoices() {
  const asked = useQuery({
    queryKey: ["channels", "choices"],
    queryFn: () => data(notifier.GET("/v1/channels", { params: { query: { limit: 1000 } } })),
  });
  return asked.data?.items.map((each) => ({ value: each.id, label: each.name })) ?? [];
}
