// For which targets something holds: for one, for a group of them, or for all.
import { useQuery } from "@tanstack/react-query";
import { data, provisioner } from "../api";
import { type Choice, named, useGroupChoices } from "./choices";

interface Scoped {
  group: string | null;
  target_id: string | null;
}

/** All targets, for what takes the id of one. */
export function useTargets() {
  const asked = useQuery({
    queryKey: ["targets", "choices"],
    queryFn: () => data(provisioner.GET("/v1/targets", { params: { query: { limit: 1000 } } })),
  });
  return asked.data?.items ?? [];
}

/** The choices of a form that says for which targets something is, and the name of what was chosen. */
export function useScopes() {
  const choices: Record<"target_id" | "group", Choice[]> = {
    target_id: useTargets().map((each) => ({ value: each.id, label: each.name })),
    group: useGroupChoices(),
  };
  const nameOf = ({ group, target_id: target }: Scoped) =>
    group ? named([group], choices.group) : target ? named([target], choices.target_id) : "all targets";
  return { choices, nameOf };
}
