"Any model of ours as the tensors of a plain GPT-2, which is what other programs know.

`plain-gpt2` gives what fast.hy's state-dict would be for the same function without the lecture's
slip and without a bias in the lm-head, for neither has a place there."

(import  dataclasses [replace]
         functools [partial]
         math [sqrt]
         torch
         nanogpt-hy.fast [from-course]
         nanogpt-hy.lab.strangers [refuse])

(defn as-fast [trained]
  "Trained -> {name: tensor}, GPTConfig: of stage fast itself, or of the course's GPT carried over."
  (match (get trained.meta "stage")
    "fast" [(.state-dict trained.model) trained.config]
    "gpt"  [(.state-dict (from-course trained.model trained.config))
            (replace trained.config :activation "relu" :bias True :tied False)]
    stage  (refuse trained.path f"is of stage {stage}, which no other program knows"
                   "export a model of stage fast or gpt")))

(defn without-slip [tensors c]
  "The same model with scores divided by sqrt(D). Where it was sqrt(C), the queries get smaller."
  (if (= c.scale "head-size")
    tensors
    (dfor  [name t] (.items tensors)
           name (if (in ".c_attn." name)
                  (torch.cat [(/ (cut t c.n-embd) (sqrt c.n-head)) (cut t c.n-embd None)])
                  t))))

(defn folded [weight bias]
  "(V C) (V) -> (C), which as an input of WEIGHT gives BIAS, or None where there is no such."
  (setv [weight bias] [(.double weight) (.double bias)]
        input (.float (get (torch.linalg.lstsq weight (.unsqueeze bias 1) :driver "gelsd") 0))
        error (.abs (- (.squeeze (@ weight (.double input)) 1) bias)))
  (when (and (<= (.max error) 1e-6) (<= (.max (.abs input)) 10))
    (.squeeze input 1)))

(defn twice [t]
  "(N ...) -> (2N ...): all of it again."
  (torch.cat [t t]))

(defn padded [t]
  "(N ...) -> (2N ...): as many zeros behind it."
  (torch.cat [t (torch.zeros-like t)]))

(defn spread [n-head t]
  "(C ...) -> (2C ...): behind each head's part as many zeros."
  (.flatten (torch.stack (lfor  part (.chunk t n-head)  (padded part))) 0 1))

(defn widened [tensors c]
  "The same model with twice the channels, and room for the lm-head's bias. The second half repeats
  the first, which no layer norm notices, and nothing reads it but the last layer norm: it makes it
  0, and a 1 of its first channel, which brings in the bias."
  (setv heads (partial spread c.n-head)
        qkv   (fn [t]                           ; scores will be divided by sqrt(2D)
                (setv [q k v] (.chunk t 3))
                (torch.cat [(heads (* q (sqrt 2))) (heads k) (heads v)]))
        rows  {"c_attn" qkv  "c_proj" twice  "c_fc" padded  "ln_1" twice  "ln_2" twice
               "ln_f" padded  "wte" (fn [t] t)  "wpe" (fn [t] t)}
        cols  {"c_attn" padded  "attn.c_proj" heads  "c_fc" padded  "mlp.c_proj" padded
               "wte" twice  "wpe" twice}
        out   {})
  (for [[name t] (.items tensors)  :if (not-in "lm_head" name)]
    (setv [_ layer kind] (.rsplit name "." 2)
          columns (or (.get cols layer) (.get cols (.join "." (cut (.split name ".") -3 -1))))
          t ((get rows layer) t))
    (setv (get out name) (if (= (.dim t) 2) (.contiguous (. (columns t.mT) mT)) t)))
  (setv [weight bias] [(get tensors "lm_head.weight") (get tensors "lm_head.bias")]
        wide (. (padded weight.mT) mT (contiguous)))
  (setv (get wide #((slice None) c.n-embd)) bias
        (get out "transformer.ln_f.bias" c.n-embd) 1
        (get out "lm_head.weight") wide)
  [out (replace c :n-embd (* 2 c.n-embd))])

(defn without-head-bias [tensors c]
  "-> tensors, config, notes: the same model whose lm-head has no bias."
  (setv bias (.get tensors "lm_head.bias")
        rest (dfor  [name t] (.items tensors)  :if (!= name "lm_head.bias")  name t)
        last "transformer.ln_f.bias")
  (when (or (is bias None) (not (.any bias)))
    (return [rest c []]))
  (setv input (folded (get tensors "lm_head.weight") bias))
  (if (is input None)
    [#* (widened tensors c)
     [(+ f"GPT-2 has no bias in its lm-head: it is {(* 2 c.n-embd)} channels wide instead of "
         f"{c.n-embd}, to make room for it; it computes the same")]]
    [(| rest {last (+ (get rest last) input)})
     c
     ["GPT-2 has no bias in its lm-head: it is in the last layer norm's bias now"]]))

(defn plain-gpt2 [trained]
  "Trained -> tensors, config, notes: in GPT-2's form, on the CPU; the notes say what changed."
  (setv [tensors c] (as-fast trained)
        tensors (dfor  [name t] (.items tensors)  name (.cpu t))
        slip    (if (= c.scale "n-embd") ["the lecture's slip is in the queries' weights now"] [])
        [tensors c notes] (without-head-bias (without-slip tensors c) c))
  [tensors (replace c :scale "head-size") [#* slip #* notes]])
