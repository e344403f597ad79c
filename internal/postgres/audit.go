package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

// Entry is one row of the audit log. Rows are only ever added.
type Entry struct {
	ID     ad.ID
	At     time.Time
	UserID ad.ID  // 0: the system
	Action string // "create", "update", "revise", "submit", "approve", "reject", "sign_in", …
	Kind   string // the noun: "line_item"
	ItemID ad.ID
	Detail json.RawMessage // an object; of an update, field: [before, after]
}

// AuditFilter narrows a list of entries; zero fields do not.
type AuditFilter struct {
	Kind   string
	ItemID ad.ID
	Page
}

// Audit records what happened outside the store's own writes, such as a sign-in.
// It ignores e.ID, e.At and e.UserID.
func (db *DB) Audit(ctx context.Context, actor Actor, e Entry) error {
	return audit(ctx, db.Pool, actor, e)
}

// AuditLog lists entries in the order in which they were made. It is for operators.
func (db *DB) AuditLog(ctx context.Context, actor Actor, f AuditFilter) ([]Entry, error) {
	if err := actor.only(ad.RoleOperator); err != nil {
		return nil, err
	}
	return many(ctx, db.Pool, scanEntry, `
		SELECT id, at, user_id, action, kind, item_id, detail
		FROM audit_log
		WHERE id > $1 AND ($2 = '' OR kind = $2) AND ($3 = 0 OR item_id = $3)
		ORDER BY id LIMIT $4`,
		f.After, f.Kind, f.ItemID, f.limit())
}

func scanEntry(row pgx.CollectableRow) (e Entry, err error) {
	var user *ad.ID
	err = row.Scan(&e.ID, &e.At, &user, &e.Action, &e.Kind, &e.ItemID, &e.Detail)
	e.UserID, e.At = idOrZero(user), e.At.UTC()
	return e, err
}

// audit adds the row in the transaction of what it tells, so that neither stands
// without the other.
func audit(ctx context.Context, q querier, actor Actor, e Entry) error {
	if e.Detail == nil {
		e.Detail = json.RawMessage("{}")
	}
	_, err := q.Exec(ctx, `
		INSERT INTO audit_log (user_id, action, kind, item_id, detail) VALUES ($1, $2, $3, $4, $5)`,
		idOrNull(actor.UserID), e.Action, e.Kind, e.ItemID, e.Detail)
	return err
}

func auditCreate(ctx context.Context, tx pgx.Tx, actor Actor, kind string, id ad.ID) error {
	return audit(ctx, tx, actor, Entry{Action: "create", Kind: kind, ItemID: id})
}

func auditUpdate(ctx context.Context, tx pgx.Tx, actor Actor, e Entry, before, after any) error {
	detail, err := changes(before, after)
	if err != nil {
		return err
	}
	e.Action, e.Detail = "update", detail
	return audit(ctx, tx, actor, e)
}

// longestChange bounds what the log repeats of one field: a targeting rule may
// have a megabyte.
const longestChange = 2000

// changes lists the fields that differ, by their Go names, as [before, after].
func changes(before, after any) (json.RawMessage, error) {
	old, err := fields(before)
	if err != nil {
		return nil, err
	}
	now, err := fields(after)
	if err != nil {
		return nil, err
	}
	changed := map[string][2]json.RawMessage{}
	for name, value := range now {
		if name != "UpdatedAt" && name != "Version" && !bytes.Equal(value, old[name]) {
			changed[name] = [2]json.RawMessage{bounded(old[name]), bounded(value)}
		}
	}
	return json.Marshal(changed)
}

func fields(noun any) (byName map[string]json.RawMessage, err error) {
	text, err := json.Marshal(noun)
	if err != nil {
		return nil, err
	}
	return byName, json.Unmarshal(text, &byName)
}

func bounded(value json.RawMessage) json.RawMessage {
	if len(value) > longestChange {
		return json.RawMessage(`"(too long to repeat)"`)
	}
	return value
}
