// Command admin serves the console and its REST API.
//
//	admin              serve until SIGTERM
//	admin user create  make a user, such as the first one
//	admin version      print the version
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/hayate-ads/hayate/admin"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

type commands struct {
	Config admin.Config `embed:""`
	Serve  struct{}     `cmd:"" default:"1" help:"Answer requests until SIGTERM."`
	User   struct {
		Create admin.NewUser `cmd:"" help:"Make a user. Only the database has to be set."`
	} `cmd:"" help:"Users, for whom there is no other way in yet."`
	Version struct{} `cmd:"" help:"Print the version."`
}

// about is what the parser says of the program as a whole.
var about = []kong.Option{kong.Name("admin"), kong.Description("Hayate's console and REST API. Settings come from the environment.")}

func main() {
	var cli commands
	parsed := kong.Parse(&cli, about...)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parsed.Command(), cli, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "admin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, cli commands, in io.Reader, out io.Writer) error {
	switch command {
	case "version":
		_, err := fmt.Fprintln(out, version)
		return err
	case "user create":
		return createUser(ctx, cli, in, out)
	}
	level, err := telemetry.ParseLevel(os.Getenv("LOG_LEVEL"))
	if err != nil {
		return err
	}
	cli.Config.Version = version
	return admin.Run(ctx, cli.Config, telemetry.Logger(os.Stderr, "admin", version, level))
}

func createUser(ctx context.Context, cli commands, in io.Reader, out io.Writer) error {
	if cli.User.Create.PasswordFile == "" && isTerminal(in) {
		fmt.Fprintln(os.Stderr, "The new user's password (it is shown while you type):")
	}
	user, err := admin.CreateUser(ctx, cli.Config.DatabaseURL, cli.User.Create, in)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "user %d created: %s, %s\n", user.ID, user.Email, user.Role)
	return err
}

func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
