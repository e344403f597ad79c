package admin

import (
	"context"
	"net/http"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// Who asks travels in the context as the view's visitor; a stranger's actor is
// the zero one, which sees nothing.

func userOf(ctx context.Context) *ad.User { return views.From(ctx).User }

func actorOf(ctx context.Context) postgres.Actor {
	if user := userOf(ctx); user != nil {
		return postgres.ActorOf(*user)
	}
	return postgres.Actor{}
}

func langOf(r *http.Request) string { return views.From(r.Context()).Language }

// What pages offer. Whether it may be done is asked again where it is done.

func isOperator(ctx context.Context) bool { return actorOf(ctx).Role == ad.RoleOperator }

func mayEditDemand(ctx context.Context) bool {
	return isOperator(ctx) || actorOf(ctx).Role == ad.RoleAdvertiser
}

func mayEditSupply(ctx context.Context) bool {
	return isOperator(ctx) || actorOf(ctx).Role == ad.RolePublisher
}

func mayReview(ctx context.Context) bool {
	return isOperator(ctx) || actorOf(ctx).Role == ad.RoleReviewer
}
