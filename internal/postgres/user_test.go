package postgres_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

var _ scs.CtxStore = (*postgres.Sessions)(nil)

func TestUsers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, operator := t.Context(), h.actor(ad.RoleOperator)
	found, hash, err := h.UserByEmail(ctx, "Reviewer@ONE.example")
	if err != nil || found != h.users[ad.RoleReviewer] || hash != "hash of reviewer@one.example" {
		t.Errorf("by e-mail: %+v, %q, %v", found, hash, err)
	}
	if _, _, err := h.UserByEmail(ctx, "nobody@one.example"); !errors.Is(err, postgres.ErrNotFound) {
		t.Errorf("unknown e-mail: %v", err)
	}
	again := found
	again.Email = "REVIEWER@one.example"
	_, err = h.CreateUser(ctx, operator, again, "")
	wantField(t, err, "email", ad.Taken)
	foreign := ad.User{Email: "x@one.example", Name: "X", Role: ad.RoleAdvertiser, AdvertiserID: 1 << 40}
	if _, err := h.CreateUser(ctx, operator, foreign, ""); !errors.Is(err, postgres.ErrNotFound) {
		t.Errorf("user of an unknown advertiser: %v", err)
	}

	self := h.actor(ad.RoleReviewer)
	found.Name, found.Language = "Renamed", "ja"
	found = must[ad.User](t)(h.UpdateUser(ctx, self, found))
	other := found
	other.Email = "other@one.example"
	if _, err := h.UpdateUser(ctx, self, other); !errors.Is(err, postgres.ErrForbidden) {
		t.Errorf("own e-mail: %v; want ErrForbidden", err)
	}
	promoted := found
	promoted.Role = ad.RoleOperator
	_, err = h.UpdateUser(ctx, self, promoted)
	wantField(t, err, "role", ad.Conflict)
	locked := h.users[ad.RoleOperator]
	locked.Status = ad.Paused
	_, err = h.UpdateUser(ctx, operator, locked)
	wantField(t, err, "role", ad.Conflict)

	if err := h.SetPassword(ctx, self, found.ID, "new"); err != nil {
		t.Error(err)
	}
	if _, hash, _ := h.UserByEmail(ctx, found.Email); hash != "new" {
		t.Errorf("hash is %q", hash)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, actor := t.Context(), h.actor(ad.RoleAdvertiser)
	text, token, err := h.CreateToken(ctx, actor, " robot ")
	if err != nil || !strings.HasPrefix(text, "hyt_") || len(text) < 30 || token.Name != "robot" {
		t.Fatalf("token %q, %+v, %v", text, token, err)
	}
	if user := must[ad.User](t)(h.UserByToken(ctx, text)); user != h.users[ad.RoleAdvertiser] {
		t.Errorf("user is %+v", user)
	}
	unknown := func(what, text string) {
		t.Helper()
		if _, err := h.UserByToken(ctx, text); !errors.Is(err, postgres.ErrNotFound) {
			t.Errorf("%s: %v; want ErrNotFound", what, err)
		}
	}
	unknown("other text", text+"x")
	unknown("no prefix", strings.TrimPrefix(text, "hyt_"))
	unknown("empty", "")
	user := h.users[ad.RoleAdvertiser]
	user.Status = ad.Paused
	user = must[ad.User](t)(h.UpdateUser(ctx, postgres.System, user))
	unknown("paused user", text)
	user.Status = ad.Active
	must[ad.User](t)(h.UpdateUser(ctx, postgres.System, user))
	revoked := must[ad.Token](t)(h.RevokeToken(ctx, actor, token.ID))
	unknown("revoked", text)
	if again := must[ad.Token](t)(h.RevokeToken(ctx, actor, token.ID)); again != revoked || revoked.RevokedAt.IsZero() {
		t.Errorf("revoked %+v, then %+v", revoked, again)
	}
	if list := must[[]ad.Token](t)(h.Tokens(ctx, actor, postgres.Page{})); len(list) != 1 || list[0] != revoked {
		t.Errorf("tokens are %+v", list)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	store, ctx := db.Sessions(), t.Context()
	expect := func(token, want string) {
		t.Helper()
		data, found, err := store.FindCtx(ctx, token)
		if err != nil || found != (want != "") || string(data) != want {
			t.Errorf("session %s: %q, %v, %v; want %q", token, data, found, err, want)
		}
	}
	commit := func(token, data string, expiry time.Time) {
		t.Helper()
		if err := store.CommitCtx(ctx, token, []byte(data), expiry); err != nil {
			t.Fatal(err)
		}
	}
	commit("a", "first", time.Now().Add(time.Hour))
	commit("a", "second", time.Now().Add(time.Hour))
	commit("b", "old", time.Now().Add(-time.Second))
	expect("a", "second")
	expect("b", "")
	expect("c", "")
	var stored []byte
	if err := db.Pool.QueryRow(ctx, "SELECT token_sha256 FROM session WHERE data = 'second'").Scan(&stored); err != nil || bytes.Contains(stored, []byte("a")) && len(stored) != 32 {
		t.Errorf("stored token is %x, %v", stored, err)
	}
	if n, err := store.DeleteExpired(ctx); n != 1 || err != nil {
		t.Errorf("deleted %d, %v; want 1", n, err)
	}
	if err := store.DeleteCtx(ctx, "a"); err != nil {
		t.Error(err)
	}
	expect("a", "")
}
