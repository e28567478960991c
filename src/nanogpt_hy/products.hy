"Large products on a CPU, by whichever of torch's two libraries is quicker at them, in whichever
precision is.

torch has MKL multiply matrices of float32. On a processor that is not Intel's MKL takes 8 numbers
at a time, where AMD's could take 16 from Zen 5 on; oneDNN, which torch has for convolutions, takes
16. There it is more than twice as quick, as soon as a product is so large that the 10 us which it
takes to begin do not matter. And from 2023 on Intel's server processors have a unit for products
of bfloat16 (AMX), several times as quick as either library in float32; whether a step uses it is
for the lab to say (training/device.hy). Everything else is left to torch."

(import  contextlib [contextmanager nullcontext]
         functools [cache]
         os
         torch
         torch.autograd.function [Function once-differentiable]
         torch.nn.functional :as F
         torch.overrides [TorchFunctionMode])

(setv LEAST        (** 2 21)                ; multiplications from which on oneDNN is quicker
      LEAST-PACKED (* 3 (** 2 19)))         ; the same, if the weights are packed

(defn multiplies-bfloat16 []
  "Whether the processor has a unit of its own for products of bfloat16 that oneDNN may use."
  (setv most (os.environ.get "ONEDNN_MAX_CPU_ISA" "DEFAULT"))
  (and (.get (torch.cpu.get-capabilities) "amx_bf16" False)
       (torch.backends.mkldnn.is-available)
       (or (in most ["DEFAULT" "ALL"]) (in "AMX" most))))

(defn mkl-is-narrow []
  "Whether oneDNN takes more numbers at a time than MKL here: on one of AMD's processors with what
  Zen 5 first had. (Where torch does not say what a processor has, MKL keeps its products.)"
  (setv has (torch.cpu.get-capabilities))
  (and (.get has "avx512_vp2intersect" False)
       (not-in "Intel" (.get has "cpu_name" "Intel"))
       (torch.backends.mkl.is-available)
       (torch.backends.mkldnn.is-available)
       (hasattr torch.ops.mkldnn "_linear_pointwise")))

(setv NARROW-MKL (mkl-is-narrow))

(defn [contextmanager] mkl-alone []
  "Within, all products are left to torch, in every thread."
  (global NARROW-MKL)
  (setv before NARROW-MKL
        NARROW-MKL False)
  (try
    (yield)
    (finally (setv NARROW-MKL before))))

(defn by-onednn [x weight]
  "(... I) (O I) -> bool: whether oneDNN shall compute their product."
  (and NARROW-MKL
       (= x.device.type weight.device.type "cpu")
       (is x.dtype weight.dtype torch.float32)
       (>= (* (int (.numel x)) (int (get weight.shape 0)))
           (if weight.is-mkldnn LEAST-PACKED LEAST))
       (not (torch.is-autocast-enabled "cpu"))))

(defn packed [weight]
  "(O I) -> (O I): what WEIGHT holds now, in a tensor that only oneDNN reads, and in the order in
  which it does; else it sorts them anew for each product, which takes longer than to multiply few
  rows. None where oneDNN computes nothing."
  (when NARROW-MKL
    (torch.ops.mkldnn._reorder-linear-weight weight)))

(defn onednn [x weight bias]
  "(... I) (O I) (O) -> (... O): F.linear by oneDNN, without a way back. BIAS may be None."
  (cond
    (torch.jit.is-tracing)        (.linear (recordable) x weight bias)
    (torch.compiler.is-compiling) (compilable x weight bias)
    True (torch.ops.mkldnn._linear-pointwise x weight bias "none" [] "")))

(defn [cache] recordable []
  "torch.jit.trace takes no empty list from Python, but a function of TorchScript with one in it."
  (torch.jit.CompilationUnit "
def linear(x: Tensor, weight: Tensor, bias: Optional[Tensor]):
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')
"))

;; torch.compile wants to choose how oneDNN computes this, and cannot for weights that change. What
;; is in an operation of our own it leaves alone.
(defn [(torch.library.custom-op "nanogpt_hy::linear" :mutates-args []
         :schema "(Tensor x, Tensor weight, Tensor? bias) -> Tensor")]
    compilable [x weight bias]
  (onednn x weight bias))

(defn [compilable.register-fake] of-that-shape [x weight bias]
  (.new-empty x [#* (cut x.shape -1) (get weight.shape 0)]))

;;; Without a way back, as backprop.hy and the KV cache need them

(defn product [x weight [bias None]]
  "(... I) (O I) (O) -> (... O): F.linear."
  ((if (by-onednn x weight) onednn F.linear) x weight bias))

(defn add-product [total x weight]
  "(n O) (n I) (O I): add the product of X and WEIGHT to TOTAL, in place."
  (if (or (by-onednn x weight) (is-not x.dtype total.dtype))
    (.add_ total (product x weight))
    (.addmm_ total x (.t weight))))

;;; With a way back, for any model

(defclass Linear [Function]
  "F.linear by oneDNN, as autograd's own."
  (defn [staticmethod] forward [context x weight bias]
    (.save-for-backward context x weight)
    (onednn x weight bias))
  (defn [staticmethod once-differentiable] backward [context dy]
    (setv [x weight] context.saved-tensors
          rows (.reshape dy -1 (get dy.shape -1))                      ; (n O)
          [_ _ biased] context.needs-input-grad)
    #((product dy (.t weight))
      (product (.t rows) (.t (.reshape x -1 (get x.shape -1))))        ; (O I)
      (when biased
        (.sum rows 0)))))

(defn linear [input weight [bias None]]
  "(... I) (O I) (O) -> (... O): F.linear."
  (if (and (torch.is-grad-enabled) (by-onednn input weight))
    (.apply Linear input weight bias)
    (product input weight bias)))

(defclass QuickProducts [TorchFunctionMode]
  "A context: within, the nn.Linear of any model computes so."
  (defn __torch_function__ [self function types [args #()] [options None]]
    ((if (is function F.linear) linear function) #* args #** (or options {}))))

(defn quick-products [device]
  "The same context, where that makes anything on DEVICE quicker: all calls of torch go through it."
  (if (and NARROW-MKL (= device.type "cpu"))
    (QuickProducts)
    (nullcontext)))
