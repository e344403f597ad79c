package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hayate-ads/hayate/admin/auth"
	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// userInput is what operators send.
type userInput struct {
	Email        string `json:"email" example:"hana@sakura-tea.example"`
	Name         string `json:"name" example:"Hana Sato"`
	Role         string `json:"role" enum:"operator,reviewer,advertiser,publisher"`
	AdvertiserID ad.ID  `json:"advertiser_id,omitempty" doc:"Of role advertiser."`
	PublisherID  ad.ID  `json:"publisher_id,omitempty" doc:"Of role publisher."`
	Language     string `json:"language,omitempty" enum:"en,ja" doc:"en unless given."`
	Password     string `json:"password,omitempty" doc:"8 characters or more. Without one a new user cannot sign in."`
	Status       string `json:"status,omitempty" enum:"active,paused,archived" doc:"Only active users sign in."`
	Version      int64  `json:"version,omitempty" doc:"Of an edit: the version it was made from."`
}

func userInputOf(u ad.User) userInput {
	return userInput{
		Email: u.Email, Name: u.Name, Role: string(u.Role), AdvertiserID: u.AdvertiserID, PublisherID: u.PublisherID,
		Language: u.Language, Status: string(u.Status), Version: u.Version,
	}
}

func (in userInput) user() ad.User {
	user := ad.User{
		Email: in.Email, Name: in.Name, Role: ad.Role(in.Role), Language: textOr(in.Language, "en"), Status: statusOr(in.Status), Stamp: ad.Stamp{Version: in.Version},
	}
	// What does not go with the role is left aside: the form keeps hidden fields.
	switch user.Role {
	case ad.RoleAdvertiser:
		user.AdvertiserID = in.AdvertiserID
	case ad.RolePublisher:
		user.PublisherID = in.PublisherID
	}
	return user
}

// saveUser creates a user, or changes the one with this id.
func (c *console) saveUser(ctx context.Context, id ad.ID, in userInput) (ad.User, error) {
	actor := actorOf(ctx)
	if !isOperator(ctx) {
		if id != actor.UserID || id == 0 {
			return ad.User{}, postgres.ErrNotFound
		}
		return ad.User{}, postgres.ErrForbidden
	}
	if id > 0 {
		old, err := c.db.FindUser(ctx, actor, id)
		if err != nil {
			return old, err
		}
		in.Status, in.Language = textOr(in.Status, string(old.Status)), textOr(in.Language, old.Language)
	}
	user, hash := in.user(), ""
	if in.Password != "" {
		var err error
		if hash, err = c.hash(ctx, "password", in.Password); err != nil {
			return user, err
		}
	}
	if user.ID = id; id == 0 {
		user, err := c.db.CreateUser(ctx, actor, user, hash)
		return user, orgError(err, in)
	}
	user, err := c.db.UpdateUser(ctx, actor, user)
	if err != nil || hash == "" {
		return user, orgError(err, in)
	}
	if err := c.db.SetPassword(ctx, actor, id, hash); err != nil {
		return user, err
	}
	return c.db.FindUser(ctx, actor, id)
}

// orgError names the field when the advertiser or publisher does not exist.
func orgError(err error, in userInput) error {
	if in.Role == string(ad.RolePublisher) {
		return parentError(err, "publisher_id")
	}
	return parentError(err, "advertiser_id")
}

// hash hashes a password that somebody chose; a bad one is the field's error.
func (c *console) hash(ctx context.Context, field, password string) (string, error) {
	hash, err := c.hasher.Hash(ctx, password)
	if errors.Is(err, auth.ErrPasswordLength) {
		return "", ad.Invalid{{Field: field, Code: ad.OutOfRange, Message: fmt.Sprintf("has to have %d to %d characters", auth.MinPassword, auth.MaxPassword)}}
	}
	return hash, err
}

func (c *console) setUserStatus(ctx context.Context, id ad.ID, version int64, status ad.Status) (int64, error) {
	user, err := c.db.FindUser(ctx, actorOf(ctx), id)
	if err != nil {
		return 0, err
	}
	user.Version, user.Status = version, status
	user, err = c.db.UpdateUser(ctx, actorOf(ctx), user)
	return user.Version, err
}

func userPath(id ad.ID) string { return fmt.Sprintf("/users/%d", id) }

func (c *console) usersPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	users, err := c.db.Users(ctx, actorOf(ctx), pageOf(r))
	if err != nil {
		return err
	}
	users, next := cut(users, "/users", func(u ad.User) ad.ID { return u.ID })
	add := views.Action{Text: views.T(lang, "user.new"), URL: "/users/new", Main: true}
	table := views.Table{
		Columns: names(column(lang, "noun.name"), column(lang, "user.email"), column(lang, "user.role"), column(lang, "noun.status")),
		Empty:   views.Empty{Title: views.T(lang, "user.none"), Text: views.T(lang, "user.none_text"), Action: &add}, Next: next,
	}
	for _, u := range users {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: u.Name, URL: userPath(u.ID)}, {Text: u.Email}, {Text: views.T(lang, "role."+string(u.Role)), Note: memberOf(lang, u)},
			{Badges: []views.Badge{views.StatusBadge(lang, u.Status)}},
		})
	}
	return c.show(w, r, views.List(views.Page{Title: views.T(lang, "nav.users"), Section: "users", Actions: []views.Action{add}}, table))
}

func memberOf(lang string, u ad.User) string {
	switch {
	case u.AdvertiserID > 0:
		return fmt.Sprintf("%s %d", views.T(lang, "noun.advertiser"), u.AdvertiserID)
	case u.PublisherID > 0:
		return fmt.Sprintf("%s %d", views.T(lang, "noun.publisher"), u.PublisherID)
	}
	return ""
}

func (c *console) findUser(r *http.Request) (ad.User, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ad.User{}, err
	}
	return c.db.FindUser(r.Context(), actorOf(r.Context()), id)
}

func (c *console) userPage(w http.ResponseWriter, r *http.Request) error {
	lang := langOf(r)
	u, err := c.findUser(r)
	if err != nil {
		return err
	}
	p := views.Page{
		Title: u.Name, Kind: views.T(lang, "noun.user"), Section: "users", Crumbs: []views.Link{{Text: views.T(lang, "nav.users"), URL: "/users"}},
		Badges: []views.Badge{views.StatusBadge(lang, u.Status)},
	}
	if u.Status != ad.Archived {
		if u.ID != actorOf(r.Context()).UserID {
			p.Actions = statusActions(lang, userPath(u.ID), u.Status, u.Version)
		}
		p.Actions = append(p.Actions, views.Action{Text: views.T(lang, "form.edit"), URL: userPath(u.ID) + "/edit", Main: true})
	}
	details := append(userDetails(lang, u), stampDetails(lang, u.Stamp, time.UTC)...)
	return c.show(w, r, views.Thing(p, details, nil))
}

func userDetails(lang string, u ad.User) []views.Detail {
	return []views.Detail{
		{Name: views.T(lang, "user.email"), Value: u.Email},
		{Name: views.T(lang, "user.role"), Value: views.T(lang, "role."+string(u.Role)), Note: memberOf(lang, u)},
		{Name: views.T(lang, "user.language"), Value: views.T(lang, "language."+u.Language)},
	}
}

func (c *console) newUserPage(w http.ResponseWriter, r *http.Request) error {
	return c.userForm(w, r, http.StatusOK, ad.User{}, userInput{Role: string(ad.RoleAdvertiser), Language: langOf(r)}, problems{lang: langOf(r)})
}

func (c *console) editUserPage(w http.ResponseWriter, r *http.Request) error {
	u, err := c.findUser(r)
	if err != nil {
		return err
	}
	return c.userForm(w, r, http.StatusOK, u, userInputOf(u), problems{lang: langOf(r)})
}

func (c *console) userForm(w http.ResponseWriter, r *http.Request, status int, u ad.User, in userInput, p problems) error {
	ctx := r.Context()
	advertisers, err := c.db.Advertisers(ctx, actorOf(ctx), postgres.Page{Limit: 1000})
	if err != nil {
		return err
	}
	publishers, err := c.db.Publishers(ctx, actorOf(ctx), postgres.Page{Limit: 1000})
	if err != nil {
		return err
	}
	role := p.required("role", "user.role", "select", in.Role)
	role.Options, role.Choice = p.options("role", string(ad.RoleOperator), string(ad.RoleReviewer), string(ad.RoleAdvertiser), string(ad.RolePublisher)), true
	language := p.field("language", "user.language", "select", in.Language)
	language.Options = p.options("language", "en", "ja")
	advertiser := p.required("advertiser_id", "noun.advertiser", "select", fmt.Sprint(in.AdvertiserID))
	advertiser.Options = []views.Option{{Text: "–"}}
	for _, a := range advertisers {
		advertiser.Options = append(advertiser.Options, views.Option{Value: fmt.Sprint(a.ID), Text: a.Name})
	}
	publisher := p.required("publisher_id", "noun.publisher", "select", fmt.Sprint(in.PublisherID))
	publisher.Options = []views.Option{{Text: "–"}}
	for _, a := range publishers {
		publisher.Options = append(publisher.Options, views.Option{Value: fmt.Sprint(a.ID), Text: a.Name})
	}
	password := p.hint(p.field("password", "user.password", "password", ""), "user.password_hint", auth.MinPassword)
	password.Complete = "new-password"
	page := views.Page{Title: p.t("user.new"), Section: "users", Crumbs: []views.Link{{Text: p.t("nav.users"), URL: "/users"}}}
	action, cancel := "/users", "/users"
	if u.ID > 0 {
		page.Title = p.t("form.edit_name", u.Name)
		password.Hint = p.t("user.password_keep_hint", auth.MinPassword)
		action, cancel = userPath(u.ID), userPath(u.ID)
	}
	form := p.form(action, in.Version,
		views.Section{Fields: []views.Field{p.required("name", "noun.name", "text", in.Name), p.required("email", "user.email", "email", in.Email), role, language}},
		views.Section{When: "role=advertiser", Fields: []views.Field{advertiser}},
		views.Section{When: "role=publisher", Fields: []views.Field{publisher}},
		views.Section{Fields: []views.Field{password}})
	form.Cancel = cancel
	c.render(w, r, status, views.Edit(page, form))
	return nil
}

func (c *console) postUser(w http.ResponseWriter, r *http.Request) error {
	var u ad.User
	var err error
	if r.PathValue("id") != "" {
		if u, err = c.findUser(r); err != nil {
			return err
		}
	}
	var in userInput
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	in.Status = ""
	saved, err := c.saveUser(r.Context(), u.ID, in)
	if err != nil {
		if p, status := problemsOf(err, langOf(r)); status != 0 {
			return c.userForm(w, r, status, u, in, p)
		}
		return err
	}
	return c.redirect(w, r, userPath(saved.ID), "notice.saved")
}
