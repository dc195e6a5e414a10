import { useQuery } from "@tanstack/react-query";
import { Fragment } from "react";
import { data, inventory } from "../api";
import { type Person, person } from "../session";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Who, by name. What the platform does by itself is recorded in words: `renewal`, `campaign …`. */
export function Who({ id }: { id: string }) {
  return <span title={id}>{useName(id)}</span>;
}

/** Return what somebody is called; the id, until that is known. */
export function useName(id: string): string {
  const asked = useQuery({
    queryKey: ["who", id],
    queryFn: () => nameOf(id),
    enabled: ID.test(id),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: false,
  });
  return asked.data ?? id;
}

/** Return who is signed in, as soon as that is known. */
export function useMe(): Person | null {
  return useQuery({ queryKey: ["person"], queryFn: person }).data ?? null;
}

export function Everybody({ ids }: { ids: string[] }) {
  return ids.map((id, at) => (
    <Fragment key={id}>
      {at ? ", " : ""}
      <Who id={id} />
    </Fragment>
  ));
}

/** Return somebody's name; the id, where they are none of whoever looks. */
async function nameOf(id: string): Promise<string> {
  const asked = inventory.GET("/v1/principal-names", { params: { query: { id: [id] } } });
  return (await data(asked)).items[0]?.name ?? id;
}
