package admin

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

func TestCreateUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	url := h.db.Pool.Config().ConnString()
	file := t.TempDir() + "/password"
	if err := os.WriteFile(file, []byte("from a file\r\nnot this line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(n NewUser, input, wantError string) ad.User {
		t.Helper()
		user, err := CreateUser(t.Context(), url, n, strings.NewReader(input))
		switch {
		case wantError == "" && err != nil:
			t.Fatal(err)
		case wantError != "" && (err == nil || !strings.Contains(err.Error(), wantError) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%+v: error %v, want %q in one line", n, err, wantError)
		}
		return user
	}
	first := f(NewUser{Email: "root@example.com", Role: "operator"}, "first password\n", "")
	if first.Name != "root" || first.Language != "en" || first.Status != ad.Active {
		t.Errorf("user = %+v", first)
	}
	h.stranger().signIn("root@example.com", "first password").want(t, http.StatusSeeOther)
	f(NewUser{Email: "file@example.com", Name: "File", Role: "publisher", PublisherID: h.own.publisher.ID, Language: "ja", PasswordFile: file}, "", "")
	h.stranger().signIn("file@example.com", "from a file").want(t, http.StatusSeeOther)

	before := h.rows()
	f(NewUser{Email: "ROOT@example.com", Role: "operator"}, "first password", "a user with the address ROOT@example.com exists already")
	f(NewUser{Email: "x@example.com", Role: "operator"}, "short", "8 to 256 characters")
	f(NewUser{Email: "x@example.com", Role: "operator"}, strings.Repeat("x", 5000), "8 to 256 characters")
	f(NewUser{Email: "x@example.com", Role: "operator"}, "", "no password in standard input")
	f(NewUser{Email: "x@example.com", Role: "operator", PasswordFile: file + "x"}, "", "--password-file")
	f(NewUser{Email: "x", Role: "king"}, "long enough", "--email has to be an e-mail address")
	f(NewUser{Email: "x@example.com", Role: "king"}, "long enough", "--role has to be operator")
	f(NewUser{Email: "x@example.com", Role: "advertiser"}, "long enough", "--advertiser-id")
	f(NewUser{Email: "x@example.com", Role: "advertiser", AdvertiserID: 999_999}, "long enough", "there is no advertiser 999999")
	f(NewUser{Email: "x@example.com", Role: "publisher", PublisherID: 999_999}, "long enough", "there is no publisher 999999")
	if h.rows() != before {
		t.Error("a refused user changed something")
	}
}

func TestCreateUserSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	n := NewUser{Email: "root@example.com", Role: "operator"}
	f := func(url, want string) {
		t.Helper()
		if _, err := CreateUser(t.Context(), url, n, strings.NewReader("long enough")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f("", "DATABASE_URL is not set")
	f("postgres://u:secret@127.0.0.1:1/x", "database does not answer")
	url := postgrestest.URL(t)
	db, err := pgx.Connect(t.Context(), url)
	must(t, 0, err)
	defer db.Close(t.Context())
	_, err = db.Exec(t.Context(), "DROP TABLE app_user CASCADE")
	must(t, 0, err)
	f(url, "batch migrate")
}
