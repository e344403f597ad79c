package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hayate-ads/hayate/internal/ad"
)

// editable says whether a thing, read and locked, may be changed by somebody who
// has read the given version of it.
func editable(status ad.Status, current, version int64) error {
	if current != version {
		return ErrVersion
	}
	if status == ad.Archived {
		return wrong("status", ad.Final, "is archived, which is final")
	}
	return nil
}

// sameParent refuses to move a thing: its ledger and reports stay where they are.
// An edit may leave the parent out.
func sameParent(field string, current ad.ID, given *ad.ID) error {
	if *given == 0 {
		*given = current
	}
	if *given != current {
		return wrong(field, ad.Immutable, "cannot change after creation")
	}
	return nil
}

// openParent refuses new things below what is archived.
func openParent(field string, parent ad.Status) error {
	if parent == ad.Archived {
		return wrong(field, ad.Final, "is archived, which is final")
	}
	return nil
}

// wrong is the error for a single field that only the store can judge.
func wrong(field, code, message string) error {
	return ad.Invalid{{Field: field, Code: code, Message: message}}
}

// violates tells whether err is Postgres's complaint with this code (SQLSTATE).
func violates(err error, code string) bool {
	var complaint *pgconn.PgError
	return errors.As(err, &complaint) && complaint.Code == code
}

// SQLSTATE codes, from Postgres's appendix on error codes.
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	invalidParameter    = "22023"
)

// orActive is the status of something new, unless given.
func orActive(s ad.Status) ad.Status {
	if s == "" {
		return ad.Active
	}
	return s
}
