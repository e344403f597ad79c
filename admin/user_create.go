package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hayate-ads/hayate/admin/auth"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// NewUser is a user made from the command line: the way to the first operator of
// an installation, and back in when the last one has lost the password.
type NewUser struct {
	Email        string `required:"" help:"Address to sign in with."`
	Role         string `required:"" help:"operator, reviewer, advertiser or publisher."`
	Name         string `help:"Name shown in the console; by default what stands before the @."`
	AdvertiserID ad.ID  `name:"advertiser-id" help:"Of role advertiser: whose user it is."`
	PublisherID  ad.ID  `name:"publisher-id" help:"Of role publisher: whose user it is."`
	Language     string `default:"en" help:"en or ja."`
	PasswordFile string `type:"path" placeholder:"FILE" help:"File whose first line is the password; by default it is read from standard input."`
}

// undefinedTable is Postgres's code (SQLSTATE) for a table that is not there.
const undefinedTable = "42P01"

// CreateUser makes a user in the database at url. The password is the first line
// of the password file, or else of input. Its errors are one line and name what
// to change.
func CreateUser(ctx context.Context, url string, n NewUser, input io.Reader) (ad.User, error) {
	if url == "" {
		return ad.User{}, errors.New("DATABASE_URL is not set")
	}
	user := ad.User{
		Email: n.Email, Role: ad.Role(n.Role), Name: n.Name, AdvertiserID: n.AdvertiserID, PublisherID: n.PublisherID,
		Language: textOr(n.Language, "en"), Status: ad.Active,
	}
	if user.Name == "" {
		user.Name, _, _ = strings.Cut(n.Email, "@")
	}
	if err := user.Validate(); err != nil {
		return user, flagErrors(err)
	}
	password, err := n.password(input)
	if err != nil {
		return user, err
	}
	hash, err := auth.NewHasher(1).Hash(ctx, password)
	if err != nil {
		return user, fmt.Errorf("the password cannot be taken: %w", err)
	}
	db, err := postgres.Open(ctx, url)
	if err != nil {
		return user, err
	}
	defer db.Close()
	created, err := db.CreateUser(ctx, postgres.System, user, hash)
	return created, creationError(err, n)
}

// creationError says what the store found wrong in terms of the command.
func creationError(err error, n NewUser) error {
	var server *pgconn.PgError
	var invalid ad.Invalid
	switch {
	case errors.Is(err, postgres.ErrNotFound) && n.PublisherID != 0:
		return fmt.Errorf("--publisher-id: there is no publisher %d", n.PublisherID)
	case errors.Is(err, postgres.ErrNotFound):
		return fmt.Errorf("--advertiser-id: there is no advertiser %d", n.AdvertiserID)
	case errors.As(err, &server) && server.Code == undefinedTable:
		return errors.New("the database has no tables yet; `batch migrate` makes them")
	case errors.As(err, &invalid) && len(invalid) == 1 && invalid[0].Code == ad.Taken:
		return fmt.Errorf("a user with the address %s exists already", n.Email)
	}
	return flagErrors(err)
}

// flagErrors names flags instead of fields.
func flagErrors(err error) error {
	var invalid ad.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	var parts []string
	for _, e := range invalid {
		parts = append(parts, "--"+strings.ReplaceAll(e.Field, "_", "-")+" "+e.Message)
	}
	return errors.New(strings.Join(parts, "; "))
}

// password reads one line, which may end with the file.
func (n NewUser) password(input io.Reader) (string, error) {
	from := "standard input"
	if n.PasswordFile != "" {
		file, err := os.Open(n.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		defer file.Close()
		input, from = file, n.PasswordFile
	}
	// Four bytes more than a password may have show that it is too long.
	line, err := bufio.NewReader(io.LimitReader(input, auth.MaxPassword+4)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", fmt.Errorf("no password in %s: it has to be the first line", from)
	}
	return line, nil
}
