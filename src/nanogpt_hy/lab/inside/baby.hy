"Andrej Karpathy's baby GPT: two tokens, a context of three, a text that can be learned by heart.

Twelve windows of 111101111011110 are all it ever sees. After 111 comes 1 or 0, three times each;
after the other contexts there is nothing to guess. So no model can lose less than (6/12) ln 2.
His notebook, GPT as a finite-state Markov chain, is of April 2023
(https://hackaday.com/2023/04/10/the-hello-world-of-gpt/ tells of it)."

(eval-when-compile
  (require hyrule [ncut]))
(import  math [log]
         pathlib [Path]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course [next-logits windows]
         nanogpt-hy.fast [FastGPT]
         nanogpt-hy.lab.checkpoints.trained [Trained]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer]
         nanogpt-hy.lab.training.device [fit-threads])

(setv TEXT   "111101111011110"
      FLOOR  (* 0.5 (log 2))           ; nats
      CONFIG (GPTConfig :vocab-size 2 :block-size 3 :n-layer 4 :n-head 4 :n-embd 16 :bias False))

(defn examples [tokenizer]
  "-> (12 3) (12): all windows of TEXT, and what follows each."
  (setv ids (torch.tensor (.encode tokenizer TEXT))
        T CONFIG.block-size
        [x y] (windows ids (torch.arange (- (len ids) T)) T))
  [x (ncut y : -1)])

(defn untrained [seed]
  "-> FastGPT: his has biases in its layer norms, though in nothing else."
  (torch.manual-seed seed)
  (setv model (FastGPT CONFIG))
  (for [part (.modules model)  :if (isinstance part nn.LayerNorm)]
    (setv part.bias (nn.Parameter (torch.zeros-like part.weight))))
  model)

(defn baby-gpt [* [steps 50] [seed 1337]]
  "-> Trained, [float]: a baby GPT after so many steps of AdamW, and the loss before each of them.
  It learns from the last position only, as his does."
  (with [_ (torch.random.fork-rng :devices [])]
    (setv model (untrained seed)))
  (setv tokenizer (make-tokenizer "char" "01")
        [x y] (examples tokenizer)
        optimizer (torch.optim.AdamW (.parameters model) :lr 1e-3 :weight-decay 0.1)
        losses [])
  (with [_ (fit-threads CONFIG)]
    (for [_ (range steps)]
      (setv loss (F.cross-entropy (next-logits model x) y))
      (.zero-grad optimizer)
      (.backward loss)
      (.step optimizer)
      (.append losses (.item loss))))
  (.eval model)
  [(Trained (Path "the baby GPT") model tokenizer CONFIG
            {"stage" "fast"  "step" steps  "data" {}})
   losses])
