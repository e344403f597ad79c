package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/hayate-ads/hayate/delivery/target/workload"
)

// BenchmarkDecode reads bodies as publishers' servers write them. The thousand of
// the workload differ from each other as those of internal/bench do: a processor
// learns the branches of a body that it sees again and again, which flatters.
func BenchmarkDecode(b *testing.B) {
	f := func(name string, bodies [][]byte) {
		b.Run(name, func(b *testing.B) {
			var d decoder
			var r adRequest
			size := 0
			for _, body := range bodies {
				size += len(body)
			}
			b.SetBytes(int64(size / len(bodies)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.reset()
				if err := d.decode(bodies[i%len(bodies)], &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	f("plain", [][]byte{[]byte(timedBody)})
	f("full", [][]byte{[]byte(fullBody)})
	f("workload", workloadBodies(b, 1000))
	f("japanese", [][]byte{[]byte(japaneseBody)})
}

// japaneseBody has text beyond ASCII wherever a site has it.
const japaneseBody = `{"placements":[{"id":"11"}],"page":{"url":"https://news.example/スポーツ/野球/今日の試合結果と明日の予定"},
	"keywords":{"話題":["プログラミング","データベース"],"場所":["東京都千代田区"]},"user":{"segments":["旅行好き","自動車の購入を検討中"]}}`

// workloadBodies are requests of the workload in the form that internal/bench sends.
func workloadBodies(tb testing.TB, n int) [][]byte {
	var bodies [][]byte
	for i, r := range workload.Requests(1, workload.Network, n) {
		keywords := map[string][]string{}
		for _, keyword := range r.Keywords {
			key, value, _ := bytes.Cut(keyword, []byte("="))
			keywords[string(key)] = append(keywords[string(key)], string(value))
		}
		ua := fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", 110+i%30)
		if r.OS == "" {
			ua = ""
		}
		body, err := json.Marshal(map[string]any{
			"placements": []any{map[string]string{"id": fmt.Sprint(r.Site*4 + 1)}},
			"page": map[string]any{
				"url": fmt.Sprintf("https://site-%d.example/2026/11/a-story.html", r.Site), "referrer": "https://search.example/",
				"categories": r.Categories, "cattax": 7,
			},
			"keywords": keywords,
			"user":     map[string]any{"segments": r.Segments},
			"device":   map[string]string{"ua": ua, "ip": fmt.Sprintf("101.%d.%d.7", r.Country[0], r.Country[1]), "language": r.Language},
			"consent":  map[string]any{"gdpr": 0},
		})
		if err != nil {
			tb.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	return bodies
}
