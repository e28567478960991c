"What the tests of `inspect` share: small models with their tokenizers, and all kinds of data."

(import  torch
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.data.chain-files [write-data]
         nanogpt-hy.lab.data.markov [ab-chain]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer]
         nanogpt-hy.lab.inside.attention [attention]
         nanogpt-hy.lab.inside.losses [loss-by-position loss-curve]
         nanogpt-hy.lab.inside.machine [machine]
         nanogpt-hy.lab.inside.outlook [embeddings next-characters]
         nanogpt-hy.lab.inside.truth [truth]
         nanogpt-hy.lab.training.session [begin go new-run]
         nanogpt-hy.ladder [build-model STAGES])

(setv TALKING (lfor  name STAGES  :if (not-in name ["bigram" "embedding" "position"])  name)
      ODD "</script><b>\"'$x$&\\ \n\t\u001b漢")      ; characters that mean something somewhere

(defn small [stage [text "ab\n"] * [block-size 6] [seed 0] #** shape]
  "-> #(model tokenizer), not trained, its weights large enough for attention to be uneven."
  (setv tokenizer (make-tokenizer "char" text)
        shape (| {"n_layer" 2  "n_head" 2  "n_embd" 8} shape))
  (torch.manual-seed seed)
  (setv model (build-model stage (GPTConfig :vocab-size tokenizer.vocab-size
                                            :block-size block-size #** shape)))
  (with [_ (torch.no-grad)]
    (for [w (.parameters model)]
      (.add_ w (* 0.5 (torch.randn-like w)))))
  #(model tokenizer))

(defn small-run [folder * [iterations 20]]
  "A run on a/b lines, in FOLDER; -> Trained."
  (setv text (/ folder "ab.txt"))
  (write-data text (ab-chain) 400 :seed 1)
  (setv run (new-run (str text) :folder (/ folder "run") :device "cpu" :n-layer 1 :n-head 2
                     :n-embd 8 :max-iters iterations :eval-interval 10))
  (begin run)
  (go run)
  (open-model (/ folder "run")))

(defn all-kinds [folder]
  "-> [dict]: plain data of every kind, some of it of a text with odd characters."
  (setv trained (small-run folder)
        odd (small "fast" ODD :block-size 12)
        text (str (/ folder "ab.txt"))
        prose (/ folder "prose.txt"))
  (.write-text prose (* "it is what it is, $ or not\n" 20) :encoding "utf-8")
  [(attention odd ODD)
   (next-characters odd ODD :top-k 3)
   (loss-by-position trained text)
   (loss-curve (/ folder "run") :text text :tokenizer trained.tokenizer)
   (embeddings odd)
   (machine (small "gpt" "a$" :block-size 3))
   (machine (small "gpt" "ab\n" :block-size 4))
   (truth trained :text text)
   (truth (small "gpt" (.read-text prose)) :text prose)])
