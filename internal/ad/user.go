package ad

import (
	"net/mail"
	"strings"
	"time"
)

// Role says what a user may see and do.
type Role string

const (
	RoleOperator   Role = "operator"   // everything
	RoleReviewer   Role = "reviewer"   // reads all demand, judges creatives
	RoleAdvertiser Role = "advertiser" // its own advertiser's things
	RolePublisher  Role = "publisher"  // its own publisher's things
)

// ParseRole accepts the roles there are.
func ParseRole(text string) (Role, error) {
	return oneOf("role", Role(text), RoleOperator, RoleReviewer, RoleAdvertiser, RolePublisher)
}

// User is somebody who signs in. Its password is no part of it, so that no page
// can show the hash by mistake.
type User struct {
	ID           ID
	Email        string // unique, whatever its case
	Name         string
	Role         Role
	AdvertiserID ID     // of role advertiser, else 0
	PublisherID  ID     // of role publisher, else 0
	Language     string // "en" or "ja"
	Status       Status // only active users sign in
	Stamp
}

// Bounds of RFC 5321, with which mail can be delivered.
const (
	maxEmail = 254
	maxLocal = 64
)

// Validate checks the fields that people set. The error is an [Invalid].
func (u User) Validate() error {
	var c checks
	c.email("email", u.Email)
	c.name("name", u.Name)
	c.status(u.Status)
	if _, err := ParseRole(string(u.Role)); err != nil {
		c.fail("role", Unknown, "has to be operator, reviewer, advertiser or publisher")
	}
	c.belongs("advertiser_id", u.AdvertiserID, u.Role == RoleAdvertiser)
	c.belongs("publisher_id", u.PublisherID, u.Role == RolePublisher)
	if u.Language != "en" && u.Language != "ja" {
		c.fail("language", Unknown, "has to be en or ja")
	}
	return c.err()
}

func (c *checks) belongs(field string, id ID, wanted bool) {
	switch {
	case wanted:
		c.parent(field, id)
	case id != 0:
		c.fail(field, Conflict, "does not go with this role")
	}
}

func (c *checks) email(field, text string) {
	address, err := mail.ParseAddress(text)
	local, _, _ := strings.Cut(text, "@")
	switch {
	case text == "":
		c.fail(field, Required, "has to be given")
	case len(text) > maxEmail || len(local) > maxLocal:
		c.fail(field, TooLong, "is too long for an e-mail address")
	case err != nil || address.Address != text || strings.ContainsFunc(text, breaksURL):
		c.fail(field, BadSyntax, "has to be an e-mail address such as name@example.com")
	}
}

// Token lets a program act as a user. Its text is shown once, when it is made.
type Token struct {
	ID        ID
	UserID    ID
	Name      string
	CreatedAt time.Time
	RevokedAt time.Time // zero: in force
}

const maxTokenName = 100

// Validate checks the fields that people set. The error is an [Invalid].
func (t Token) Validate() error {
	var c checks
	c.name("name", t.Name)
	if len([]rune(t.Name)) > maxTokenName {
		c.fail("name", TooLong, "has more than %d characters", maxTokenName)
	}
	return c.err()
}
