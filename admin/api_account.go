package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/internal/ad"
)

type userBody struct {
	ID           ad.ID  `json:"id"`
	Email        string `json:"email"`
	Name         string `json:"name"`
	Role         string `json:"role"`
	AdvertiserID ad.ID  `json:"advertiser_id,omitempty"`
	PublisherID  ad.ID  `json:"publisher_id,omitempty"`
	Language     string `json:"language"`
	Status       string `json:"status"`
	StampBody
}

func userBodyOf(u ad.User) userBody {
	return userBody{u.ID, u.Email, u.Name, string(u.Role), u.AdvertiserID, u.PublisherID, u.Language, string(u.Status), stampBody(u.Stamp)}
}

func (c *console) apiAccount(api huma.API) {
	users := resource[userInput, userBody]{c, api, "users", saver(c.saveUser, userBodyOf), finder(c.db.FindUser, userBodyOf), finder(c.db.FindUser, userInputOf)}
	users.register()
	registerList(users, func(ctx context.Context, q PageQuery) (listBody[userBody], error) {
		found, err := c.db.Users(ctx, actorOf(ctx), q.page())
		return listOf(found, q, userBodyOf, func(u ad.User) ad.ID { return u.ID }), err
	})
	me := users.operation(http.MethodGet, "", "Me")
	me.OperationID, me.Path, me.Summary = "me", "/api/v1/me", "Who the token or session speaks for"
	huma.Register(api, me, func(ctx context.Context, _ *struct{}) (*answer[userBody], error) {
		return &answer[userBody]{userBodyOf(*userOf(ctx))}, nil
	})
}
