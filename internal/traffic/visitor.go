package traffic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
)

// Visitors are people on a publisher's pages: they ask for an ad in a placement,
// some see it, some of those click, some of those buy.
type Visitors struct {
	DeliveryURL string   // http://host:port
	Placements  []string // ids, one drawn for each visit
	SeenShare   float64  // of decisions that become impressions, 0 to 1
	ViewShare   float64  // of impressions that are reported viewable, 0 to 1
	ClickShare  float64  // of impressions that are clicked, 0 to 1
	BuyShare    float64  // of clicks that are followed by a conversion, 0 to 1, where the landing URL has a token as parameter hy
	Client      *http.Client
}

// Outcome is what one visit came to.
type Outcome struct {
	Filled, Seen, Clicked, Bought bool
}

// agents are what the visitors browse with, common ones of each device type.
var agents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1",
}

// networks are the address blocks set aside for documentation (RFC 5737); the
// demo's geography places them in different countries.
var networks = []string{"203.0.113.%d", "198.51.100.%d", "192.0.2.%d"}

var sections = []string{"city", "food", "travel", "sports", "culture"}

type decisionRequest struct {
	Placements []placementID       `json:"placements"`
	Keywords   map[string][]string `json:"keywords"`
	Device     struct {
		UA string `json:"ua"`
		IP string `json:"ip"`
	} `json:"device"`
}

type placementID struct {
	ID string `json:"id"`
}

type decisionResponse struct {
	Decisions []struct {
		NoFill      string   `json:"no_fill"`
		Click       string   `json:"click"`
		Impressions []string `json:"impressions"`
		Viewables   []string `json:"viewables"`
	} `json:"decisions"`
}

// Visit is one page view of one visitor. Errors are of the transport or of an
// answer that is not 200; a decision without an ad is no error.
func (v *Visitors) Visit(ctx context.Context) (Outcome, error) {
	var outcome Outcome
	request := decisionRequest{
		Placements: []placementID{{v.Placements[rand.IntN(len(v.Placements))]}},
		Keywords:   map[string][]string{"section": {sections[rand.IntN(len(sections))]}},
	}
	agent := agents[rand.IntN(len(agents))]
	request.Device.UA = agent
	request.Device.IP = fmt.Sprintf(networks[rand.IntN(len(networks))], 1+rand.IntN(254))
	var response decisionResponse
	if err := v.post(ctx, "/v1/decisions", request, &response); err != nil {
		return outcome, err
	}
	if len(response.Decisions) == 0 || response.Decisions[0].NoFill != "" {
		return outcome, nil
	}
	outcome.Filled = true
	if rand.Float64() >= v.SeenShare {
		return outcome, nil
	}
	for _, address := range response.Decisions[0].Impressions {
		if _, err := v.get(ctx, address, agent, http.StatusOK); err != nil {
			return outcome, err
		}
	}
	outcome.Seen = true
	if rand.Float64() < v.ViewShare {
		for _, address := range response.Decisions[0].Viewables {
			if _, err := v.get(ctx, address, agent, http.StatusNoContent); err != nil {
				return outcome, err
			}
		}
	}
	if rand.Float64() >= v.ClickShare {
		return outcome, nil
	}
	landing, err := v.get(ctx, response.Decisions[0].Click, agent, http.StatusFound)
	if err != nil {
		return outcome, err
	}
	outcome.Clicked = true
	if rand.Float64() < v.BuyShare {
		outcome.Bought, err = v.buy(ctx, landing)
	}
	return outcome, err
}

// buy reports an order as the advertiser's server does, by the token that the
// landing page was called with. It tells whether there was one.
func (v *Visitors) buy(ctx context.Context, landing string) (bool, error) {
	page, err := url.Parse(landing)
	if err != nil {
		return false, err
	}
	token := page.Query().Get("hy")
	if token == "" {
		return false, nil
	}
	address := fmt.Sprintf("%s/t/x/%s?order=%016x&value=%d.90", v.DeliveryURL, token, rand.Uint64(), 19+10*rand.IntN(6))
	_, err = v.get(ctx, address, "shop/1.0", http.StatusOK)
	return err == nil, err
}

func (v *Visitors) post(ctx context.Context, path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.DeliveryURL+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := v.Client.Do(request)
	if err != nil {
		return err
	}
	defer drain(response)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// get calls a tracking URL. Where a click leads is returned and not followed.
func (v *Visitors) get(ctx context.Context, address, agent string, want int) (location string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("User-Agent", agent)
	response, err := v.Client.Do(request)
	if err != nil {
		return "", err
	}
	defer drain(response)
	if response.StatusCode != want {
		return "", fmt.Errorf("GET %.60s: %s", address, response.Status)
	}
	return response.Header.Get("Location"), nil
}

// drain reads a body to its end, so that the connection can be used again.
func drain(response *http.Response) {
	io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	response.Body.Close()
}

// NewClient keeps connections open for that many workers and follows no redirect.
func NewClient(workers int) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: workers, MaxIdleConns: workers},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
